//! Runs the calls of `tests/run/*.tir` and `tests/isel/*.tir` as native code: the results are those that the interpreter gives.

use std::path::{Path, PathBuf};

use ir::loops::text::calls::RunFile;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut trials = Vec::new();
    for folder in ["run", "isel"] {
        for path in files(folder) {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            trials.push(Trial::test(format!("{folder}/{stem}"), move || run_file(&path)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of the tests is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tir"));
    paths.sort();
    paths
}

fn run_file(path: &Path) -> Result<(), Failed> {
    let file = RunFile::parse(&std::fs::read_to_string(path)?).map_err(|error| error.to_string())?;
    if file.calls.is_empty() {
        return Err("the file has no `//! call` line".into());
    }
    for call in &file.calls {
        let nest = &file.nests[call.nest];
        let mut memory = call.memory(nest);
        let mut params: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
        let mut native = tinyc_host::compile_nest(nest).map_err(|error| error.to_string())?;
        native.run(&mut params).map_err(|error| error.to_string())?;
        call.check(nest, &memory).map_err(|error| error.to_string())?;
    }
    Ok(())
}
