import { createHash } from "node:crypto";
import { type Manifest, secretNames } from "@berth/contracts";
import type { Secrets } from "@berth/registry";
import type { GivenSecrets } from "@berth/sandbox";

const KEPT = 1000;

/** What versions are given of their project's secrets: read once, kept until there is news. */
export class FunctionSecrets {
	readonly #secrets: Pick<Secrets, "values">;
	readonly #kept = new Map<string, Promise<GivenSecrets>>();

	constructor(secrets: Pick<Secrets, "values">) {
		this.#secrets = secrets;
	}

	/** Undefined for a version that has none. @throws BerthError secret_unavailable, unavailable */
	of(project: string, manifest: Pick<Manifest, "secrets">): Promise<GivenSecrets> | undefined {
		const names = secretNames(manifest);
		if (names.length === 0) return undefined;
		const key = `${project} ${names.join(" ")}`;
		const known = this.#kept.get(key);
		if (known !== undefined) return known;
		if (this.#kept.size >= KEPT) this.#kept.clear();
		const asked = this.#read(project, names);
		this.#kept.set(key, asked);
		// Who asks next may find it.
		asked.catch(() => {
			if (this.#kept.get(key) === asked) this.#kept.delete(key);
		});
		return asked;
	}

	/** One of a project has another value; undefined: any may have. What is being read is read anew by who asks next. */
	changed(project: string | undefined): void {
		if (project === undefined) this.#kept.clear();
		else for (const key of this.#kept.keys()) if (key.startsWith(`${project} `)) this.#kept.delete(key);
	}

	async #read(project: string, names: readonly string[]): Promise<GivenSecrets> {
		const open = await this.#secrets.values(project, names);
		return {
			revision: createHash("sha256")
				.update(open.map(({ revision }) => revision).join())
				.digest("hex"),
			values: Object.fromEntries(open.map(({ name, value }) => [name, value])),
		};
	}
}
