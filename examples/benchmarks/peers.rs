//! What other engines need for the same models: `docs/benchmarks/peers.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The whole file; its models are the rows of every table.
#[derive(Deserialize)]
pub struct Peers {
    /// How each of the sources was measured.
    pub how: How,
    /// Models that are looked at together.
    pub groups: Vec<Group>,
    /// The best results on boards.
    pub published: Vec<Published>,
}

/// A sentence or more about each source.
#[derive(Deserialize)]
pub struct How {
    pub cmsis_nn: String,
    pub tinyengine: String,
    pub published: String,
}

/// Models under one heading.
#[derive(Deserialize)]
pub struct Group {
    pub name: String,
    pub models: Vec<PeerModel>,
}

/// One model with the engines that run it.
#[derive(Deserialize)]
pub struct PeerModel {
    /// The stem of its file.
    pub model: String,
    pub cmsis_nn: Engine,
    pub tinyengine: Option<Engine>,
}

/// What an engine needs.
#[derive(Deserialize)]
pub struct Engine {
    /// Modelled cycles of one inference, by core.
    pub cycles: BTreeMap<String, u64>,
    /// The same of a variant that is bit-exact, where the engine as it comes is not.
    #[serde(default)]
    pub exact_cycles: BTreeMap<String, u64>,
    pub ram_bytes: u64,
    pub flash_bytes: u64,
}

/// The best published results on one board.
#[derive(Deserialize)]
pub struct Published {
    pub core: String,
    pub board: String,
    /// Cycles of one inference, by model.
    pub cycles: BTreeMap<String, u64>,
}

impl Peers {
    /// The data in a file.
    pub fn read(path: &Path) -> Peers {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All models, group by group.
    pub fn models(&self) -> impl Iterator<Item = &PeerModel> {
        self.groups.iter().flat_map(|group| &group.models)
    }
}
