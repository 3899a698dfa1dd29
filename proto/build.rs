//! Compiles the `.proto` files without a protoc binary.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["tidegate/v1/storage.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
