//! The password file of libpq: `PGPASSFILE`, or `.pgpass` in the home folder.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.

use std::fs;
use std::path::{Path, PathBuf};

/// Whom the password is for: host, port, database, user.
pub(super) type Login<'a> = [&'a str; 4];

/// The password for a login, if there is a file that has it.
pub(super) fn password(variable: impl Fn(&str) -> Option<String>, login: Login<'_>) -> Option<String> {
    let file = match variable("PGPASSFILE") {
        Some(path) => PathBuf::from(path),
        None => Path::new(&variable("HOME")?).join(".pgpass"),
    };
    // As libpq does, nothing is read from a file that others may read.
    is_private(&file).then(|| find(&fs::read_to_string(&file).ok()?, login)).flatten()
}

#[cfg(unix)]
fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(file: &Path) -> bool {
    file.is_file()
}

/// The first line `host:port:database:user:password` that fits, with `*` for whatever.
fn find(text: &str, login: Login<'_>) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = fields(line).into_iter();
        let fits = login.iter().all(|known| {
            fields
                .next()
                .is_some_and(|field| field.text == *known || (field.text == "*" && !field.is_escaped))
        });
        fields.next().filter(|_| fits).map(|field| field.text)
    })
}

#[derive(Default)]
struct Field {
    text: String,
    is_escaped: bool,
}

/// What colons separate; a backslash takes the next character as it is.
fn fields(line: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let is_last = fields.len() == 5;
        let Some(field) = fields.last_mut() else { break };
        match letter {
            ':' if !is_last => fields.push(Field::default()),
            '\\' => {
                field.text.extend(letters.next());
                field.is_escaped = true;
            }
            other => field.text.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: Login<'static> = ["db.example", "5432", "records", "ada"];

    #[test]
    fn the_first_line_that_fits_counts() {
        let file = "# db.example:5432:records:ada:comment\nother:*:*:*:1\n*:*:records:a\\da:it\\:s: \\\\\n*:*:*:*:3\n";
        assert_eq!(find(file, LOGIN).as_deref(), Some("it:s: \\"));
        assert_eq!(find(file, ["other", "1", "x", "y"]).as_deref(), Some("1"));
        assert_eq!(find(file, ["h", "1", "x", "y"]).as_deref(), Some("3"));
        assert_eq!(find("a:b\n\n:::\n\\*:*:*:*:p", LOGIN), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_passed_over() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".pgpass");
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        let home = |name: &str| (name == "HOME").then(|| folder.path().display().to_string());
        let named = |name: &str| (name == "PGPASSFILE").then(|| path.display().to_string());
        for (mode, found) in [(0o644, None), (0o600, Some("secret".to_owned()))] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(password(home, LOGIN), found);
            assert_eq!(password(named, LOGIN), found);
        }
        assert_eq!(password(|_| None, LOGIN), None);
    }
}
