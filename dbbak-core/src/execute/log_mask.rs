//! Hides secrets in what a tool wrote into its log: the logs of a store stay for long.

use super::{error::ExecuteError, files, opened};
use crate::tools::masked;
use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
};

/// Masks the secrets in the lines of a log from an offset on. No program writes to it any more. Where nothing is to be hidden,
/// the file is not touched.
///
/// # Errors
///
/// When the log cannot be read or written.
pub(super) fn mask_log(log: &Path, from: u64) -> Result<(), ExecuteError> {
    let mut shown = String::new();
    let mut differs = false;
    files::each_line(log, from, &mut |line| {
        let bare = line.trim_end_matches('\n');
        let hidden = masked(bare);
        differs |= hidden != bare;
        shown.push_str(&hidden);
        shown.push_str(&line[bare.len()..]);
    })?;
    if !differs {
        return Ok(());
    }
    let failed = || files::failed("write", log);
    let mut file = opened::writable(log).map_err(failed())?;
    file.seek(SeekFrom::Start(from)).map_err(failed())?;
    file.write_all(shown.as_bytes()).map_err(failed())?;
    file.set_len(from + shown.len() as u64).map_err(failed())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests write logs")]

    use super::*;
    use std::fs;

    #[test]
    fn hides_the_hashes_of_a_grant_and_leaves_earlier_runs() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "before IDENTIFIED BY 'x'\nGRANT USAGE ON *.* TO `b`@`h` IDENTIFIED BY PASSWORD '*AB'\nend")
            .unwrap();
        mask_log(&log, 25).unwrap();
        let text = fs::read_to_string(&log).unwrap();
        assert_eq!(text, "before IDENTIFIED BY 'x'\nGRANT USAGE ON *.* TO `b`@`h` IDENTIFIED BY PASSWORD '***'\nend");
        let written = fs::metadata(&log).unwrap().modified().unwrap();
        mask_log(&log, 25).unwrap();
        assert_eq!(fs::metadata(&log).unwrap().modified().unwrap(), written);
    }
}
