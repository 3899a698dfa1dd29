//! Compiles the `.proto` files without a protoc binary.

use tonic_build::{
    CodeGenBuilder,
    manual::{Method, Service},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "tidegate/v1/storage.proto",
        "tidegate/v1/cluster.proto",
        "tidegate/v1/control.proto",
        "tidegate/v1/taskmanager.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    prost_build::Config::new()
        .service_generator(Box::new(DomainServices))
        .compile_fds(descriptors)?;
    Ok(())
}

/// Generates clients and servers that speak domain types: each message of a service is the type of the same name in the
/// service's module, which the codec converts. So no generated message leaves the crate through them.
struct DomainServices;

impl prost_build::ServiceGenerator for DomainServices {
    fn generate(&mut self, service: prost_build::Service, code: &mut String) {
        let module = match service.name.as_str() {
            "TaskManagerControl" => "taskmanager",
            _ => "control",
        };
        let domain = |message: &str| {
            let name = message.rsplit("::").next().unwrap_or(message);
            format!("crate::{module}::{name}")
        };
        let mut described = Service::builder().name(&service.name).package(&service.package);
        for method in &service.methods {
            let mut method_described = Method::builder()
                .name(&method.name)
                .route_name(&method.proto_name)
                .input_type(domain(&method.input_type))
                .output_type(domain(&method.output_type))
                .codec_path("crate::control::ControlCodec");
            if method.client_streaming {
                method_described = method_described.client_streaming();
            }
            if method.server_streaming {
                method_described = method_described.server_streaming();
            }
            described = described.method(method_described.build());
        }
        let described = described.build();
        let mut generator = CodeGenBuilder::new();
        generator.build_transport(false);
        code.push_str(&generator.generate_client(&described, "").to_string());
        code.push_str(&generator.generate_server(&described, "").to_string());
    }
}
