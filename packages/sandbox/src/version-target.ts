import type { SecureContext } from "node:tls";
import type { ImageReference, Manifest } from "@berth/contracts";

/** What a version is given of its project's secrets. */
export interface GivenSecrets {
	/** Another one when any has another value: sandboxes that have the ones before serve nobody any more. */
	readonly revision: string;
	/** Of all of them, by name: what isn't to be shown. */
	readonly values: Readonly<Record<string, string>>;
	/** Those that its code has. */
	readonly variables: Readonly<Record<string, string>>;
	/** Those that go to hosts. */
	readonly injections: readonly Injection[];
	/** What its TLS trusts where a secret goes to a host, PEM; absent: what it trusts by itself. Apart, since what most trust is one text. */
	readonly certificates?: readonly string[];
}

/** A header that requests to a host get on their way out. */
export interface Injection {
	readonly host: string;
	readonly port: number;
	/** In lower case. */
	readonly header: string;
	readonly value: string;
	/** What stands for the host in TLS; absent where there is none. */
	readonly context?: () => SecureContext;
}

/** A version as a sandbox needs it. */
export interface Specialisation {
	/** Names the version in the pool: `project/function:7`. */
	readonly key: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly image: ImageReference;
	readonly manifest: Manifest;
	readonly secrets?: GivenSecrets;
}

/** Whether somebody who is given the one would do with what has the other. */
export function sameSecrets(one: Pick<Specialisation, "secrets"> | undefined, other: Pick<Specialisation, "secrets">): boolean {
	return one?.secrets?.revision === other.secrets?.revision;
}

/** A version by its names. */
export type VersionNames = Pick<Specialisation, "project" | "function" | "version">;
