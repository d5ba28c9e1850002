//! Whom a certificate names.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The name on a certificate (DER): the subject's common name, or else the first
/// alternative name.
pub fn certificate_name(der: &[u8]) -> Option<Box<str>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let common_name = certificate
        .subject()
        .iter_common_name()
        .find_map(|name| name.as_str().ok().filter(|name| !name.is_empty()));
    if let Some(name) = common_name {
        return Some(name.into());
    }
    let names = certificate.subject_alternative_name().ok()??;
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                Some((*name).into())
            }
            GeneralName::IPAddress(octets) => address(octets).map(|ip| ip.to_string().into()),
            _ => None,
        })
}

fn address(octets: &[u8]) -> Option<std::net::IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(Into::into)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(Into::into))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn named(common_name: Option<&str>, alternatives: &[&str]) -> Option<Box<str>> {
        let names: Vec<_> = alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        certificate_name(certificate.der())
    }

    #[test]
    fn common_name_first_then_alternatives() {
        let cn = "kube-apiserver-etcd-client";
        assert_eq!(named(Some(cn), &["a.example"]).as_deref(), Some(cn));
        assert_eq!(
            named(None, &["a.example", "b.example"]).as_deref(),
            Some("a.example")
        );
        assert_eq!(named(None, &["10.0.0.1"]).as_deref(), Some("10.0.0.1"));
        assert_eq!(named(None, &[]), None);
        assert_eq!(certificate_name(b"not a certificate"), None);
    }
}
