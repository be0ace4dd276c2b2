//! Passwords of the accounts on private servers.

use uuid::Uuid;

/// A new password: 244 random bits, and letters of both cases, digits and other signs, as plugins and components that
/// check passwords demand (`simple_password_check`, `cracklib_password_check`, `validate_password`). No sign in it means
/// anything in an option file or in a quoted text.
pub(super) fn new_password() -> String {
    let (first, second) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string().to_uppercase());
    format!("{first}_zQ.{second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_all_kinds_of_signs_and_none_that_means_anything() {
        let password = new_password();
        assert_ne!(password, new_password());
        let counts = |is: fn(&char) -> bool| password.chars().filter(is).count();
        assert!(counts(char::is_ascii_lowercase) >= 1 && counts(char::is_ascii_uppercase) >= 1);
        assert!(counts(char::is_ascii_digit) >= 2 && counts(char::is_ascii_punctuation) >= 8);
        assert!(password.chars().all(|sign| sign.is_ascii_alphanumeric() || "-_.".contains(sign)), "{password}");
    }
}
