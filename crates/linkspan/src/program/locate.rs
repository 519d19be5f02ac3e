use crate::exit::{self, Failure};
use linkspan_model::Error;
use nix::unistd::{AccessFlags, access};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The file that `program` means: a path where it holds a slash, else the first of that name in
/// the directories of `path` that can be executed.
pub(super) fn locate(program: &str, path: &OsStr, directory: &Path) -> Result<PathBuf, Failure> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![directory.join(program)]
    } else {
        std::env::split_paths(path).map(|part| directory.join(part).join(program)).collect()
    };
    let mut found = None;
    for candidate in candidates.iter().filter(|candidate| !program.is_empty() && candidate.exists()) {
        if candidate.is_file() && access(candidate, AccessFlags::X_OK).is_ok() {
            return Ok(candidate.clone());
        }
        found.get_or_insert(candidate);
    }
    Err(match found {
        Some(file) => Failure {
            code: exit::NOT_EXECUTABLE,
            error: Some(
                Error::permission(format!("{} cannot be executed", file.display()))
                    .fix("it must be an executable file"),
            ),
        },
        None => Failure {
            code: exit::NOT_FOUND,
            error: Some(
                Error::not_found(format!("there is no program {program:?}"))
                    .fix("give one of this host that is in PATH, or its path"),
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn as_a_shell_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, mode| {
            let file = dir.path().join(name);
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        make("tool", 0o755);
        make("data", 0o644);
        fs::create_dir(dir.path().join("sub")).unwrap();
        let path = format!("/nonexistent:{}", dir.path().display());
        let code = |program: &str| locate(program, path.as_ref(), dir.path()).map_err(|failure| failure.code);
        assert_eq!(code("tool"), Ok(dir.path().join("tool")));
        assert_eq!(code("./tool"), Ok(dir.path().join("./tool")));
        assert_eq!(code("data"), Err(exit::NOT_EXECUTABLE));
        assert_eq!(code("./sub"), Err(exit::NOT_EXECUTABLE));
        assert_eq!(code("absent"), Err(exit::NOT_FOUND));
        assert_eq!(code(""), Err(exit::NOT_FOUND));
    }
}
