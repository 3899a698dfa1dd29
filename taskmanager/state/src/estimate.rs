//! What many things sum up to, estimated from a few of them: the size of state has to be known at every checkpoint, and
//! must not cost a walk over it.

use hashbrown::HashTable;

/// How many entries are looked at. Tables of no more are summed up exactly.
const SAMPLE: u64 = 512;

/// The sum of `measure` over all entries of `tables`, from a sample spread evenly over them.
pub(crate) fn sum<T>(tables: &[HashTable<T>], measure: impl Fn(&T) -> usize) -> u64 {
    let all: u64 = tables.iter().map(|table| table.len() as u64).sum();
    let every = all.div_ceil(SAMPLE).max(1);
    // Entry 0 is looked at, entry `every`, and so on; which of a table's entries stand for the rest does not matter.
    let (mut passed, mut next, mut seen, mut total) = (0, 0, 0, 0u128);
    for table in tables {
        passed += table.len() as u64;
        let wanted = u64::saturating_sub(passed, next).div_ceil(every);
        next += wanted * every;
        seen += wanted;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        total += table
            .iter()
            .take(wanted)
            .map(|entry| measure(entry) as u128)
            .sum::<u128>();
    }
    u64::try_from(total * u128::from(all) / u128::from(seen.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(lengths: &[usize]) -> Vec<HashTable<usize>> {
        let table = |length: &usize| {
            let mut table = HashTable::new();
            for value in 0..*length {
                table.insert_unique((value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), value, |_| 0);
            }
            table
        };
        lengths.iter().map(table).collect()
    }

    #[test]
    fn few_entries_are_summed_up_exactly() {
        assert_eq!(sum::<usize>(&[], |value| *value), 0);
        assert_eq!(sum(&tables(&[0, 0]), |value| *value), 0);
        assert_eq!(sum(&tables(&[5, 0, 3, 0, 1]), |value| *value), 10 + 3);
    }

    #[test]
    fn many_entries_are_looked_at_in_part() {
        let looked_at = std::cell::Cell::new(0);
        let measure = |_: &usize| {
            looked_at.set(looked_at.get() + 1);
            100
        };
        for lengths in [
            vec![100_000],
            [vec![0; 5000], vec![3; 9000]].concat(),
            vec![0, 50_000, 0, 7],
        ] {
            looked_at.set(0);
            let all: usize = lengths.iter().sum();
            assert_eq!(sum(&tables(&lengths), measure), all as u64 * 100);
            assert!(
                (1..=SAMPLE + 1).contains(&looked_at.get()),
                "{} of {all}",
                looked_at.get()
            );
        }
    }
}
