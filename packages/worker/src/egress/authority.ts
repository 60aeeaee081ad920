import { randomBytes } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { DAY_MS, HOUR_MS } from "@berth/contracts";
import { Recent } from "../recent.js";
import { authorityCertificate, hostCertificate } from "./certificate.js";

/** How long what it signs is good; it is replaced long before. Milliseconds. */
const GOOD_MS = 7 * DAY_MS;
/** Another one takes its place after that: sandboxes that trust it are replaced then, as with another value. Milliseconds. */
const RENEWED_MS = DAY_MS;
/** Sets of hosts. */
const KEPT = 64;

/**
 * What stands for some hosts in the sandboxes that trust it, and for nothing else. Its key signs one certificate for each host, and is
 * forgotten then; theirs are in this process's memory alone.
 */
export interface Authority {
	/** Another one has another. */
	readonly id: string;
	/** PEM. */
	readonly certificate: string;
	readonly renewAtMs: number;
	/** What a host is in TLS: made when it is first connected to, since each takes hundreds of KiB. */
	readonly contexts: ReadonlyMap<string, () => SecureContext>;
}

/** Those of a project: one for each set of hosts, as long as it is young. */
export class Authorities {
	readonly #kept = new Recent<Authority>(KEPT);

	of(hosts: readonly string[], nowMs = Date.now()): Authority {
		const names = [...new Set(hosts)].sort();
		const key = names.join(" ");
		const known = this.#kept.get(key);
		if (known !== undefined && nowMs < known.renewAtMs) return known;
		const made = makeAuthority(names, nowMs);
		this.#kept.set(key, made);
		return made;
	}
}

function makeAuthority(hosts: readonly string[], nowMs: number): Authority {
	const id = randomBytes(8).toString("hex");
	// Somebody's clock may be behind.
	const times = { notBefore: new Date(nowMs - HOUR_MS), notAfter: new Date(nowMs + GOOD_MS) };
	const own = authorityCertificate(`Berth ${id}`, hosts, times);
	const contexts = new Map(
		hosts.map((host) => {
			const { key, certificate } = hostCertificate(host, own, times);
			const pem = key.export({ format: "pem", type: "pkcs8" });
			let made: SecureContext | undefined;
			return [host, () => (made ??= createSecureContext({ key: pem, cert: certificate, minVersion: "TLSv1.2" }))] as const;
		}),
	);
	return { id, certificate: own.certificate, renewAtMs: nowMs + RENEWED_MS, contexts };
}
