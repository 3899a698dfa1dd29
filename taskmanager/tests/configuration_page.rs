//! The page about settings, held against the code.

use tidegate_settings::key_table;
use tidegate_taskmanager::TaskManagerSettings;

#[test]
fn the_page_has_every_key_as_it_is() {
    let table = key_table::<TaskManagerSettings>();
    assert!(
        include_str!("../../docs/configuration.md").contains(&table),
        "put what `tidegate-taskmanager config keys` prints into docs/configuration.md:\n{table}"
    );
}
