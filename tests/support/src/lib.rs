//! Models and their golden data, for the tests of several crates. Only tests depend on this crate: it reads files
//! and panics where they are not as they should be.
//!
//! There are two collections: our own models under `tests/models`, always there, and the shared models, an
//! optional folder beside the repository. A golden case is a set of inputs with the outputs that the reference
//! kernels give for them.

pub mod chains;
pub mod files;
pub mod judge;
pub mod networks;
pub mod operators;
pub mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A model file with the folder of its golden data.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file's stem: `op_conv3x3_same`.
    pub name: String,
    /// The `.tflite` file.
    pub file: PathBuf,
    /// Where `golden.json` is.
    pub golden_dir: PathBuf,
}

/// Golden cases of one model.
#[derive(Clone, Debug)]
pub struct Golden {
    /// The model's inputs, in order.
    pub inputs: Vec<Interface>,
    /// The model's outputs, in order.
    pub outputs: Vec<Interface>,
    /// At least one case.
    pub cases: Vec<Case>,
    /// Checksums of the layers in between, where there are any.
    pub layers: Vec<Layer>,
}

/// An input or output of a model.
#[derive(Clone, Debug, Deserialize)]
pub struct Interface {
    /// The tensor's name in the file.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Element type as the format calls it: `int8`.
    #[serde(rename = "type")]
    pub elem: String,
}

/// One set of inputs with the right outputs.
#[derive(Clone, Debug)]
pub struct Case {
    /// What kind of inputs these are: `uniform`, `smooth`, `zero_point`.
    pub kind: String,
    /// Bytes of each input, little-endian elements in C order.
    pub inputs: Vec<Vec<u8>>,
    /// Bytes of each output.
    pub outputs: Vec<Vec<u8>>,
}

/// Checksums of an operator's first output.
#[derive(Clone, Debug, Deserialize)]
pub struct Layer {
    /// Index of the operator in the model file.
    pub op: u32,
    /// The operator as the format calls it.
    pub name: String,
    /// Whether the checksums are right: they come from another reference, which differs in some operators.
    pub exact: bool,
    /// CRC-32 of the output's bytes, one for each case.
    pub crc32: Vec<u32>,
}

impl Model {
    /// The bytes of the file.
    pub fn read(&self) -> Vec<u8> {
        read(&self.file)
    }

    /// The golden cases.
    pub fn golden(&self) -> Golden {
        Golden::load(&self.golden_dir)
    }
}

impl Golden {
    /// Reads the golden data in `dir`.
    pub fn load(dir: &Path) -> Golden {
        let index: Index = json(&dir.join("golden.json"));
        let files = |names: &[String]| names.iter().map(|name| read(&dir.join(name))).collect();
        let case = |case: &IndexCase| Case {
            kind: case.kind.clone(),
            inputs: files(&case.inputs),
            outputs: files(&case.outputs),
        };
        let layers = dir.join("layers.json");
        assert!(!index.cases.is_empty(), "{} has no case", dir.display());
        Golden {
            cases: index.cases.iter().map(case).collect(),
            inputs: index.inputs,
            outputs: index.outputs,
            layers: if layers.exists() { json(&layers) } else { Vec::new() },
        }
    }
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    let support = Path::new(env!("CARGO_MANIFEST_DIR"));
    support.parent().and_then(Path::parent).expect("this crate lies two folders below the root")
}

/// The folder of shared models beside the repository, where it is there; otherwise a line says that it is not.
pub fn shared_dir() -> Option<PathBuf> {
    // A worktree may lie one folder deeper than the repository itself.
    let above = repository().ancestors().skip(1).take(2).map(|dir| dir.join("shared"));
    let found = above.into_iter().find(|dir| dir.join("models/MANIFEST.json").exists());
    if found.is_none() {
        println!("skipped: there is no folder ../shared with models");
    }
    found
}

/// Our own models with golden data, by name.
pub fn own_models() -> Vec<Model> {
    let mut models = Vec::new();
    collect_own(&repository().join("tests/models"), &mut models);
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

/// Our own models that must be refused, by name, each with the bytes of its file.
pub fn own_refused_models() -> Vec<(String, Vec<u8>)> {
    let files = entries(&repository().join("tests/models/refused"));
    let is_model = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "tflite");
    files.into_iter().filter(is_model).map(|file| (stem(&file), read(&file))).collect()
}

/// The shared models with golden data, by name; none where the folder is not there.
pub fn shared_models() -> Vec<Model> {
    let Some(dir) = shared_dir() else { return Vec::new() };
    let mut models = Vec::new();
    for file in entries(&dir.join("models")) {
        let golden_dir = dir.join("golden").join(stem(&file));
        push_model(file, golden_dir, &mut models);
    }
    models
}

/// Our own models, then the shared ones.
pub fn all_models() -> Vec<Model> {
    let mut models = own_models();
    models.extend(shared_models());
    models
}

/// Compares `text` with what `file` has; with `TINYC_BLESS` set, rewrites the file first.
pub fn compare_with_file(file: &Path, text: &str) -> Result<(), String> {
    if std::env::var_os("TINYC_BLESS").is_some() {
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected == text {
        return Ok(());
    }
    let same = expected.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    let [wanted, found] = [&expected, text].map(|all| all.lines().nth(same).unwrap_or("the end of the text"));
    let name = file.display();
    Err(format!(
        "{name}:{}: expected\n  {wanted}\nfound\n  {found}\n`TINYC_BLESS=1` rewrites the file",
        same + 1
    ))
}

/// The number of the first random case: 1, or `TINYC_TEST_SEED`, with which a sweep takes other cases.
pub fn first_seed() -> u64 {
    let seed = std::env::var("TINYC_TEST_SEED").map(|seed| seed.parse::<u64>());
    seed.map_or(1, |seed| seed.expect("`TINYC_TEST_SEED` is a number"))
}

/// Numbers that look random and are the same in every run: the generator splitmix64.
#[derive(Clone, Debug)]
pub struct Random(
    /// The seed.
    pub u64,
);

impl Random {
    /// The next number; all 64 bits are good.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// Bytes of all values.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.word() as u8).collect()
    }
}

/// CRC-32 as in zip files, for [`Layer::crc32`].
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[derive(Deserialize)]
struct Index {
    inputs: Vec<Interface>,
    outputs: Vec<Interface>,
    cases: Vec<IndexCase>,
}

#[derive(Deserialize)]
struct IndexCase {
    kind: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// `model.tflite` has its golden data in `model.golden` beside it.
fn collect_own(dir: &Path, models: &mut Vec<Model>) {
    for entry in entries(dir) {
        if entry.is_dir() {
            collect_own(&entry, models);
        } else {
            let golden_dir = entry.with_extension("golden");
            push_model(entry, golden_dir, models);
        }
    }
}

fn push_model(file: PathBuf, golden_dir: PathBuf, models: &mut Vec<Model>) {
    let is_model = file.extension().is_some_and(|extension| extension == "tflite");
    if is_model && golden_dir.join("golden.json").exists() {
        models.push(Model { name: stem(&file), file, golden_dir });
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().expect("files have names").to_string_lossy().into_owned()
}

/// What is in a folder, by name.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    paths
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn json<T: for<'de> Deserialize<'de>>(file: &Path) -> T {
    serde_json::from_slice(&read(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_gives_the_check_value_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926); // Known from the catalogues of CRC parameters.
    }

    #[test]
    fn random_gives_the_numbers_of_the_published_generator() {
        let mut random = Random(1234567); // Known from the tables that accompany implementations of splitmix64.
        assert_eq!([random.word(), random.word()], [6457827717110365317, 3203168211198807973]);
    }

    #[test]
    fn own_models_are_there() {
        assert!(own_models().iter().any(|model| model.name == "digits"));
    }
}
