//! Output files that appear whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use ir::diag::Diagnostic;
use tempfile::{Builder, NamedTempFile};

/// A file to be written.
pub struct OutputFile<'a> {
    /// Where it goes; a file of this name is replaced.
    pub path: PathBuf,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// Writes all `files`, or none.
///
/// Each is written in full beside its final place and then renamed, so that nobody ever reads half a file.
pub fn write_files(files: &[OutputFile]) -> Result<(), Diagnostic> {
    for file in files {
        check_target(&file.path)?;
    }
    let mut written = Vec::new();
    for file in files {
        written.push(write_beside(file)?);
    }
    for (idx, (temporary, file)) in written.into_iter().zip(files).enumerate() {
        if let Err(error) = temporary.persist(&file.path) {
            for earlier in &files[..idx] {
                // The set would not be whole; what cannot be removed either is named by no message of use.
                let _ = std::fs::remove_file(&earlier.path);
            }
            return Err(refused(&file.path, &error.error));
        }
    }
    Ok(())
}

/// Refuses, before any work, a place where no file can be: a folder, or a name in a folder that is not there.
pub fn check_target(path: &Path) -> Result<(), Diagnostic> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Diagnostic::new(format!("cannot write `{shown}`: it is a folder"))
            .help("name the file: `-o folder/model.o`"));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(Diagnostic::new(format!("cannot write `{shown}`: there is no folder `{folder}`")));
    }
    Ok(())
}

fn write_beside(file: &OutputFile) -> Result<NamedTempFile, Diagnostic> {
    let mut builder = Builder::new();
    builder.prefix(".tinyc-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file, the process's mask takes its share off.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let written = builder.tempfile_in(folder_of(&file.path)).and_then(|mut temporary| {
        temporary.write_all(file.bytes)?;
        temporary.as_file().sync_all()?;
        Ok(temporary)
    });
    written.map_err(|error| refused(&file.path, &error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn refused(path: &Path, error: &std::io::Error) -> Diagnostic {
    let shown = path.display();
    // The kind alone where it says enough: the whole error names the temporary file, which nobody asked for.
    match error.kind() {
        std::io::ErrorKind::Other => Diagnostic::new(format!("cannot write `{shown}`: {error}")),
        kind => Diagnostic::new(format!("cannot write `{shown}`: {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path) -> String {
        check_target(path).unwrap_err().message
    }

    #[test]
    fn places_where_no_file_can_be_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(message(folder.path()).ends_with("it is a folder"));
        assert!(message(&folder.path().join("none/model.o")).contains("there is no folder"));
        assert_eq!(check_target(Path::new("model.o")), Ok(()));
    }

    #[test]
    fn nothing_is_written_where_one_of_the_files_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("b");
        std::fs::create_dir(&blocked).unwrap();
        let file = |name: &str| OutputFile { path: folder.path().join(name), bytes: b"new" };
        std::fs::write(folder.path().join("a"), "old").unwrap();
        write_files(&[file("a"), file("b")]).unwrap_err();
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        write_files(&[file("a"), file("c")]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"new");
    }
}
