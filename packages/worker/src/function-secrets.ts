import { createHash } from "node:crypto";
import {
	BerthError,
	type BoundSecret,
	boundSecrets,
	headerValueFault,
	type Manifest,
	PLAIN_PORT,
	secretNames,
	secretVariables,
} from "@berth/contracts";
import type { Secrets } from "@berth/registry";
import type { GivenSecrets, Injection } from "@berth/sandbox";
import { Authorities, type Authority } from "./egress/authority.js";
import { Recent } from "./recent.js";

/** Lists of secrets of a project: other projects' are none of its business. */
const KEPT = 64;
/** Projects: of more, those that nobody asked for the longest are read anew, and their sandboxes replaced where they trust what stands for hosts. */
const PROJECTS = 4096;

interface Known {
	readonly given: Promise<GivenSecrets>;
	/** When what its sandboxes trust is to be another one. */
	readonly untilMs: number;
}

interface Project {
	readonly authorities: Authorities;
	readonly kept: Recent<Known>;
}

/** What versions are given of their project's secrets: read once, kept until there is news. */
export class FunctionSecrets {
	readonly #secrets: Pick<Secrets, "values">;
	readonly #certificates: () => string;
	readonly #projects = new Recent<Project>(PROJECTS);

	/** @param certificates that functions trust in TLS beside what stands for hosts that get secrets, PEM */
	constructor(secrets: Pick<Secrets, "values">, certificates: () => string) {
		this.#secrets = secrets;
		this.#certificates = certificates;
	}

	/** Undefined for a version that has none. @throws BerthError secret_unavailable, platform_error (no key of this node opens it), unavailable */
	of(project: string, manifest: Pick<Manifest, "secrets">): Promise<GivenSecrets> | undefined {
		if (manifest.secrets === undefined || manifest.secrets.length === 0) return undefined;
		const { authorities, kept } = this.#projectOf(project);
		const key = JSON.stringify(manifest.secrets);
		const known = kept.get(key);
		if (known !== undefined && Date.now() < known.untilMs) return known.given;
		const bound = boundSecrets(manifest);
		const hosts = bound.filter(({ port }) => port !== PLAIN_PORT).map(({ host }) => host);
		const authority = hosts.length === 0 ? undefined : authorities.of(hosts);
		const given = this.#read(project, manifest, bound, authority);
		const one = { given, untilMs: authority?.renewAtMs ?? Number.POSITIVE_INFINITY };
		kept.set(key, one);
		// Who asks next may find it.
		given.catch(() => kept.forget(key, one));
		return given;
	}

	/** One of a project has another value; undefined: any may have. What is being read is read anew by who asks next. */
	changed(project: string | undefined): void {
		const changed = project === undefined ? this.#projects.values() : [this.#projects.get(project)];
		for (const each of changed) each?.kept.clear();
	}

	#projectOf(name: string): Project {
		const known = this.#projects.get(name);
		if (known !== undefined) return known;
		const made = { authorities: new Authorities(), kept: new Recent<Known>(KEPT) };
		this.#projects.set(name, made);
		return made;
	}

	async #read(
		project: string,
		manifest: Pick<Manifest, "secrets">,
		bound: readonly BoundSecret[],
		authority: Authority | undefined,
	): Promise<GivenSecrets> {
		const open = await this.#secrets.values(project, secretNames(manifest));
		const values = Object.fromEntries(open.map(({ name, value }) => [name, value]));
		const revisions = [...open.map(({ revision }) => revision), authority?.id ?? ""];
		return {
			revision: createHash("sha256").update(revisions.join()).digest("hex"),
			values,
			variables: Object.fromEntries(secretVariables(manifest).map((name) => [name, values[name] as string])),
			injections: bound.map((one) => injectionOf(one, values[one.name] as string, authority)),
			...(authority && { certificates: [authority.certificate, this.#certificates()] }),
		};
	}
}

/** @throws BerthError secret_unavailable when it can't be a header */
function injectionOf({ name, host, port, header, prefix }: BoundSecret, value: string, authority: Authority | undefined): Injection {
	const fault = headerValueFault(value);
	if (fault !== undefined)
		throw new BerthError("secret_unavailable", `the secret ${name} can't be the header ${header} of ${host}: ${fault}; set it again`);
	const context = port === PLAIN_PORT ? undefined : authority?.contexts.get(host);
	return { host, port, header, value: `${prefix}${value}`, ...(context && { context }) };
}
