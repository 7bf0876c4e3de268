//! RSA keys as faulty generators make them, whole: with them requests are really signed.

use std::{fs::File, io::Read};

use anyhow::{Context, Result};
use num_bigint::BigUint;
use tandem_tests::certificates::OpenSsl;

/// An RSA key.
pub(crate) struct Rsa {
    p: BigUint,
    q: BigUint,
    e: BigUint,
}

impl Rsa {
    /// Of two random primes: nothing is wrong with it but perhaps its size and exponent.
    pub(crate) fn new(bits: u64, e: u32) -> Result<Self> {
        loop {
            // Of the same length, or of two that differ by a bit.
            let key = Self { p: prime(bits / 2)?, q: prime(bits - bits / 2)?, e: e.into() };
            if key.modulus().bits() == bits && key.private_exponent().is_some() {
                return Ok(key);
            }
        }
    }

    /// With this factor.
    pub(crate) fn divisible(bits: u64, factor: u32) -> Result<Self> {
        let p = BigUint::from(factor);
        loop {
            let key = Self { q: prime(bits - p.bits())?, p: p.clone(), e: 65537_u32.into() };
            if key.modulus().bits() == bits && key.private_exponent().is_some() {
                return Ok(key);
            }
        }
    }

    /// Of a prime and the next one that is `distance` or more beyond it.
    pub(crate) fn close(bits: u64, distance: &BigUint) -> Result<Self> {
        let p = prime(bits / 2)?;
        let mut q = &p + distance + 2_u32 - (distance % 2_u32);
        while !is_prime(&q) {
            q += 2_u32;
        }
        Ok(Self { p, q, e: 65537_u32.into() })
    }

    /// Of primes as Infineon's library made them (CVE-2017-15361): k·M + (65537^a mod M), where M is the product of the
    /// first `primes` primes: 126 for 2048 bits.
    pub(crate) fn infineon(bits: u64, primes: usize) -> Result<Self> {
        let m: BigUint = (2_u32..).filter(|n| (2..*n).all(|d| !n.is_multiple_of(d))).take(primes).product();
        let half = || loop {
            let start = number(bits / 2)? / &m * &m;
            let power = BigUint::from(65537_u32).modpow(&number(64)?, &m);
            let made = start + power;
            if made.bits() == bits / 2 && is_prime(&made) {
                return anyhow::Ok(made);
            }
        };
        Ok(Self { p: half()?, q: half()?, e: 65537_u32.into() })
    }

    fn modulus(&self) -> BigUint {
        &self.p * &self.q
    }

    fn private_exponent(&self) -> Option<BigUint> {
        self.e.modinv(&((&self.p - 1_u32) * (&self.q - 1_u32)))
    }

    /// The public key (SubjectPublicKeyInfo) in DER.
    pub(crate) fn public_key(&self, openssl: &OpenSsl) -> Result<Vec<u8>> {
        self.write(openssl)?;
        openssl.run(&["rsa", "-in", "weak.pem", "-pubout", "-outform", "DER", "-out", "weak.pub"])?;
        Ok(std::fs::read(openssl.folder().join("weak.pub"))?)
    }

    /// A request (PEM) for the DNS name `a.test`, signed by it.
    pub(crate) fn csr(&self, openssl: &OpenSsl) -> Result<String> {
        self.write(openssl)?;
        openssl.run(&[
            "req",
            "-new",
            "-key",
            "weak.pem",
            "-subj",
            "/CN=weak",
            "-addext",
            "subjectAltName=DNS:a.test",
            "-out",
            "weak.csr",
        ])?;
        openssl.read("weak.csr")
    }

    /// A CA's certificate and key, both in PEM.
    pub(crate) fn ca(&self, openssl: &OpenSsl) -> Result<(String, String)> {
        self.write(openssl)?;
        let made = ["-subj", "/CN=weak", "-days", "30", "-out", "weak.crt"];
        let is_ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
        openssl.run(&[&["req", "-x509", "-new", "-key", "weak.pem"][..], &made, &is_ca].concat())?;
        Ok((openssl.read("weak.crt")?, openssl.read("weak.pem")?))
    }

    /// The file `weak.pem`: `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    fn write(&self, openssl: &OpenSsl) -> Result<()> {
        let d = self.private_exponent().context("the exponent has no inverse")?;
        let (p_1, q_1) = (&self.p - 1_u32, &self.q - 1_u32);
        let inverse = self.q.modinv(&self.p).context("one prime twice")?;
        let (n, dp, dq) = (self.modulus(), &d % p_1, &d % q_1);
        let numbers = [&n, &self.e, &d, &self.p, &self.q, &dp, &dq, &inverse];
        let fields = numbers.iter().enumerate().map(|(index, n)| format!("f{index}=INTEGER:0x{n:x}\n"));
        let config = format!("asn1=SEQUENCE:key\n[key]\nversion=INTEGER:0\n{}", fields.collect::<String>());
        openssl
            .run_with(&[("weak.cnf", &config)], &["asn1parse", "-genconf", "weak.cnf", "-noout", "-out", "weak.der"])?;
        openssl.run(&["rsa", "-inform", "DER", "-in", "weak.der", "-out", "weak.pem"]).map(|_| ())
    }
}

/// A random odd number of so many bits, the two highest of which are set.
fn number(bits: u64) -> Result<BigUint> {
    let mut bytes = vec![0; usize::try_from(bits.div_ceil(8))?];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut number = BigUint::from_bytes_be(&bytes) >> (bytes.len() as u64 * 8 - bits);
    [0, bits - 2, bits - 1].into_iter().for_each(|bit| number.set_bit(bit, true));
    Ok(number)
}

fn prime(bits: u64) -> Result<BigUint> {
    let mut number = number(bits)?;
    while !is_prime(&number) {
        number += 2_u32;
    }
    Ok(number)
}

/// By small primes and Fermat's test, which random numbers do not deceive.
fn is_prime(n: &BigUint) -> bool {
    let two = BigUint::from(2_u32);
    (3..2000_u32).step_by(2).all(|divisor| n % divisor != BigUint::ZERO)
        && two.modpow(&(n - 1_u32), n) == BigUint::from(1_u32)
}
