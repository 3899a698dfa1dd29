//! A plan as a Mermaid flowchart, which Markdown viewers draw.

use std::fmt::Write as _;

use tidegate_core::graph::NodeKind;

use super::{Plan, PlannedChain, PlannedOperator};

impl Plan {
    /// The plan as a Mermaid flowchart: a box for each chain, with its operators in it. Sources have round ends, sinks are
    /// drums, operators with two inputs are hexagons; edges say how they deal records.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for chain in &self.chains {
            let _ = writeln!(
                text,
                "  subgraph chain{}[\"chain {} × {}\"]",
                chain.id, chain.id, chain.parallelism
            );
            for (place, operator) in chain.operators.iter().enumerate() {
                let _ = writeln!(text, "    {}{}", node(chain.id, place), shape(operator));
            }
            for (from, to) in links(chain) {
                let _ = writeln!(text, "    {} --> {}", node(chain.id, from), node(chain.id, to));
            }
            text.push_str("  end\n");
        }
        for edge in &self.edges {
            let (from, to) = (node(edge.from, edge.from_operator), node(edge.to, 0));
            let mut label = edge.partitioning.to_string();
            if edge.port > 0 {
                let _ = write!(label, ", side output {}", edge.port);
            }
            let _ = writeln!(text, "  {from} -->|\"{}\"| {to}", escaped(&label));
        }
        text
    }
}

fn node(chain: u32, place: usize) -> String {
    format!("operator{chain}_{place}")
}

fn links(chain: &PlannedChain) -> impl Iterator<Item = (usize, usize)> {
    let places = chain.operators.iter().enumerate();
    places.filter_map(|(place, operator)| Some((operator.fused_behind?, place)))
}

fn shape(operator: &PlannedOperator) -> String {
    let name = escaped(&operator.name);
    match operator.kind {
        NodeKind::Source => format!("([\"{name}\"])"),
        NodeKind::Operator => format!("[\"{name}\"]"),
        NodeKind::TwoInput => format!("{{{{\"{name}\"}}}}"),
        NodeKind::Sink => format!("[(\"{name}\")]"),
    }
}

/// Names are people's: whatever would end a label, or begin markup in it, is written as an entity.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::prelude::*;

    #[test]
    fn chains_operators_and_edges_are_drawn() {
        let env = Env::new("drawn");
        let numbers = env.source("numbers", IteratorSource::new(|| 0..10u64));
        let names = env.source("names", IteratorSource::new(|| ["a \"b\" <c>".to_owned()]));
        numbers
            .map(|number| number + 1)
            .key_by(|number| number % 3)
            .reduce(
                "largest",
                |largest, number| *largest = number.max(*largest),
                Emit::AtEnd,
            )
            .discard("nowhere");
        names.name("a \"b\" <c>").rebalance().discard("names-nowhere");
        let plan = env.build().unwrap().plan(2);
        assert_eq!(
            plan.to_mermaid(),
            "flowchart LR
  subgraph chain0[\"chain 0 × 2\"]
    operator0_0([\"numbers\"])
    operator0_1[\"map\"]
    operator0_0 --> operator0_1
  end
  subgraph chain1[\"chain 1 × 2\"]
    operator1_0([\"a #34;b#34; #60;c#62;\"])
  end
  subgraph chain2[\"chain 2 × 2\"]
    operator2_0[\"largest\"]
    operator2_1[(\"nowhere\")]
    operator2_0 --> operator2_1
  end
  subgraph chain3[\"chain 3 × 2\"]
    operator3_0[(\"names-nowhere\")]
  end
  operator0_1 -->|\"hash\"| operator2_0
  operator1_0 -->|\"rebalance\"| operator3_0
"
        );
    }

    #[test]
    fn every_operator_but_a_source_has_an_arrow_to_it() {
        let env = Env::new("branches");
        let numbers = env
            .source("numbers", IteratorSource::new(|| 0..10u64))
            .filter(|number| *number > 1);
        numbers.clone().map(|number| number + 1).discard("plus");
        numbers
            .clone()
            .key_by(|number| *number)
            .reduce("last", |last, number| *last = number, Emit::AtEnd)
            .discard("out");
        numbers.map(|number| number - 1).discard("minus");
        let drawn = env.build().unwrap().plan(3).to_mermaid();
        let word =
            |line: &str, place: usize| line.split_whitespace().nth(place).unwrap_or_default().to_owned();
        let arrows = drawn.lines().filter(|line| line.contains("-->"));
        let reached: BTreeSet<String> = arrows
            .map(|line| line.split_whitespace().next_back().unwrap().to_owned())
            .collect();
        let boxes = drawn
            .lines()
            .filter(|line| line.starts_with("    operator") && !line.contains("-->"));
        for line in boxes {
            let drawn_box = word(line, 0);
            let name = drawn_box.split(['(', '[', '{']).next().unwrap_or_default();
            assert_eq!(
                reached.contains(name),
                !line.contains("([\""),
                "{line} in\n{drawn}"
            );
        }
        assert!(drawn.contains("operator0_1 --> operator0_2"), "{drawn}");
    }
}
