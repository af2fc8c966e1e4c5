//! Links the addon.

fn main() {
    napi_build::setup();
    // Node unloads an addon with the last worker thread that loaded it, while a thread of ours
    // may still be on its way out: the image stays.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
