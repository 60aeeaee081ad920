import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
	AlgorithmIdentifier,
	AttributeTypeAndValue,
	AttributeValue,
	AuthorityKeyIdentifier,
	BasicConstraints,
	Certificate,
	ExtendedKeyUsage,
	Extension,
	Extensions,
	GeneralName,
	GeneralSubtree,
	GeneralSubtrees,
	id_ce_authorityKeyIdentifier,
	id_ce_basicConstraints,
	id_ce_extKeyUsage,
	id_ce_keyUsage,
	id_ce_nameConstraints,
	id_ce_subjectAltName,
	id_ce_subjectKeyIdentifier,
	id_kp_serverAuth,
	KeyIdentifier,
	KeyUsage,
	KeyUsageFlags,
	Name,
	NameConstraints,
	RelativeDistinguishedName,
	SubjectAlternativeName,
	SubjectKeyIdentifier,
	SubjectPublicKeyInfo,
	TBSCertificate,
	Validity,
	Version,
} from "@peculiar/asn1-x509";

const COMMON_NAME = "2.5.4.3";
const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const SERIAL_BYTES = 16;

/** A certificate (PEM), and the key that is its own. */
export interface Certified {
	readonly name: string;
	readonly key: KeyObject;
	readonly keyId: Buffer;
	readonly certificate: string;
}

export interface Times {
	readonly notBefore: Date;
	readonly notAfter: Date;
}

/** One that signs others for names at or below these hosts (RFC 5280, 4.2.1.10), and for nothing else. */
export function authorityCertificate(name: string, hosts: readonly string[], times: Times): Certified {
	const permittedSubtrees = new GeneralSubtrees(hosts.map((host) => new GeneralSubtree({ base: new GeneralName({ dNSName: host }) })));
	return certified(name, undefined, times, [
		extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: true, pathLenConstraint: 0 })),
		extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.keyCertSign)),
		extension(id_ce_nameConstraints, true, new NameConstraints({ permittedSubtrees })),
	]);
}

/** One of a TLS server of that name. */
export function hostCertificate(host: string, signer: Certified, times: Times): Certified {
	return certified("a host", signer, times, [
		extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: false })),
		extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
		extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([id_kp_serverAuth])),
		extension(id_ce_subjectAltName, false, new SubjectAlternativeName([new GeneralName({ dNSName: host })])),
	]);
}

/** @param signer undefined: it signs itself */
function certified(name: string, signer: Certified | undefined, { notBefore, notAfter }: Times, more: readonly Extension[]): Certified {
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const spki = AsnConvert.parse(publicKey.export({ type: "spki", format: "der" }), SubjectPublicKeyInfo);
	const keyId = createHash("sha1").update(Buffer.from(spki.subjectPublicKey)).digest();
	const signature = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
	const tbsCertificate = new TBSCertificate({
		version: Version.v3,
		serialNumber: bufferOf(positive(randomBytes(SERIAL_BYTES))),
		signature,
		issuer: nameOf(signer?.name ?? name),
		validity: new Validity({ notBefore, notAfter }),
		subject: nameOf(name),
		subjectPublicKeyInfo: spki,
		extensions: new Extensions([
			...more,
			extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(bufferOf(keyId))),
			extension(
				id_ce_authorityKeyIdentifier,
				false,
				new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(bufferOf(signer?.keyId ?? keyId)) }),
			),
		]),
	});
	const signed = sign("sha256", Buffer.from(AsnConvert.serialize(tbsCertificate)), signer?.key ?? privateKey);
	const whole = new Certificate({ tbsCertificate, signatureAlgorithm: signature, signatureValue: bufferOf(signed) });
	return { name, key: privateKey, keyId, certificate: pemOf(Buffer.from(AsnConvert.serialize(whole))) };
}

function extension(extnID: string, critical: boolean, value: object): Extension {
	return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function nameOf(text: string): Name {
	return new Name([
		new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value: new AttributeValue({ utf8String: text }) })]),
	]);
}

/** An integer of ASN.1 whose first bit is set is a negative one, and one without its first byte is written shorter. */
function positive(bytes: Buffer): Buffer {
	bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
	return bytes;
}

/** A buffer of its own: one of Node's may be a part of a pool. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
	return new Uint8Array(bytes).buffer;
}

function pemOf(der: Buffer): string {
	return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
}
