import {
	type BootRequest,
	type Digest,
	type DropLayersRequest,
	FIXED_LIMITS,
	type ImportRequest,
	isDigest,
	LAYER_LEASE_MS,
	type LayerRequest,
	LIMITS,
	type MakeVolumeRequest,
	MIB,
	type MountRequest,
	NAME_PATTERN,
	RUNTIME_CLASSES,
	type RuntimeClass,
	type SandboxKind,
	type SandboxLimits,
	type SandboxNetwork,
	type SandboxProgram,
	type SandboxRequest,
	type SpecialiseRequest,
	type StorageMount,
	VOLUME_MIB,
	type VolumeRequest,
} from "@berth/contracts";

/** A request that isn't well formed. The worker is trusted with policy, not with paths or types. */
export class RequestError extends Error {
	override readonly name = "RequestError";
}

const VOLUME = /^[0-9a-f]{32}$/;
const SANDBOX = /^sb_[0-9a-z]{26}$/;
export const MAX_LAYERS = 30;

type Fields = Readonly<Record<string, unknown>>;

/** Checks one field after the other; whatever isn't named here is ignored. */
export const read = {
	layer: (head: Fields): LayerRequest => ({ digest: digest(head["digest"], "digest") }),
	import: (head: Fields): ImportRequest => ({ digest: digest(head["digest"], "digest"), last: head["last"] === true }),
	dropLayers: (head: Fields): DropLayersRequest => ({
		unusedForMs: integer(head["unusedForMs"], "unusedForMs", 2 * LAYER_LEASE_MS, Number.MAX_SAFE_INTEGER),
	}),
	makeVolume: (head: Fields): MakeVolumeRequest => ({
		volume: volume(head["volume"]),
		sizeMiB: integer(head["sizeMiB"], "sizeMiB", VOLUME_MIB.min, VOLUME_MIB.max),
	}),
	mount: (head: Fields): MountRequest => ({
		sandbox: sandbox(head["sandbox"]),
		uidBase: integer(head["uidBase"], "uidBase", 1, 2 ** 32 - 1),
		storage: mounts(head["storage"]),
	}),
	volume: (head: Fields): VolumeRequest => ({ volume: volume(head["volume"]) }),
	sandbox: (head: Fields): SandboxRequest => ({ sandbox: sandbox(head["sandbox"]) }),
	boot: (head: Fields): BootRequest => ({
		sandbox: sandbox(head["sandbox"]),
		base: digests(head["base"], "base"),
		kind: kind(head["kind"]),
		program: program((head["program"] ?? {}) as Fields),
		...(head["runtimeClass"] === undefined ? {} : { runtimeClass: runtimeClass(head["runtimeClass"]) }),
		limits: limits(head["limits"]),
		...(head["leavesCpu"] === true ? { leavesCpu: true } : {}),
		...(head["own"] === undefined ? {} : { own: digests(head["own"], "own"), ownIsRoot: head["ownIsRoot"] === true }),
		...storage(head["storage"]),
		network: network(head["network"]),
	}),
	specialise: (head: Fields): SpecialiseRequest => ({
		sandbox: sandbox(head["sandbox"]),
		layers: digests(head["layers"], "layers"),
		limits: limits(head["limits"]),
		...storage(head["storage"]),
		network: network(head["network"]),
	}),
} as const;

function network(value: unknown): SandboxNetwork {
	if (value === "none" || value === "internet" || value === "allow" || value === "host") return value;
	return { join: name(((value ?? {}) as Fields)["join"], "network.join") };
}

function storage(value: unknown): { readonly storage?: readonly StorageMount[] } {
	return value === undefined ? {} : { storage: mounts(value) };
}

/** Names are what directories are called here, and each can be there once. */
function mounts(value: unknown): readonly StorageMount[] {
	if (!Array.isArray(value) || value.length > 2 * FIXED_LIMITS.mounts) throw new RequestError("storage: isn't a list of mounts");
	const wanted = value.map((one: unknown): StorageMount => {
		const fields = (one ?? {}) as Fields;
		return {
			name: name(fields["name"], "storage.name"),
			...(fields["volume"] === undefined ? {} : { volume: volume(fields["volume"]) }),
			readOnly: fields["readOnly"] !== false,
		};
	});
	if (new Set(wanted.map((one) => one.name)).size < wanted.length) throw new RequestError("storage: names something twice");
	return wanted;
}

function volume(value: unknown): string {
	if (typeof value !== "string" || !VOLUME.test(value)) throw new RequestError(`volume: ${JSON.stringify(value)} isn't a volume's id`);
	return value;
}

function name(value: unknown, field: string): string {
	if (typeof value !== "string" || !NAME_PATTERN.test(value)) throw new RequestError(`${field}: ${JSON.stringify(value)} isn't a name`);
	return value;
}

function limits(value: unknown): SandboxLimits {
	const fields = (value ?? {}) as Fields;
	return {
		memoryBytes: integer(fields["memoryBytes"], "memoryBytes", 16 * MIB, LIMITS.memoryMiB.max * MIB),
		cpuMilli: integer(fields["cpuMilli"], "cpuMilli", 1, LIMITS.cpuMilli.max),
		pids: integer(fields["pids"], "pids", 1, 4096),
		tmpfsBytes: integer(fields["tmpfsBytes"], "tmpfsBytes", 4096, LIMITS.tmpfsMiB.max * MIB),
		tmpfsInodes: integer(fields["tmpfsInodes"], "tmpfsInodes", 1, 1_000_000),
	};
}

function kind(value: unknown): SandboxKind {
	if (value !== "function" && value !== "build" && value !== "scripts")
		throw new RequestError(`kind: ${JSON.stringify(value)} isn't function, build or scripts`);
	return value;
}

function program(head: Fields): SandboxProgram {
	const { language } = head;
	if (language === "python" || language === "custom") return { language };
	if (language !== "node") throw new RequestError(`program: ${JSON.stringify(language)} isn't node, python or custom`);
	return {
		language,
		oldSpaceMiB: integer(head["oldSpaceMiB"], "oldSpaceMiB", 8, LIMITS.memoryMiB.max),
		semiSpaceMiB: integer(head["semiSpaceMiB"], "semiSpaceMiB", 1, 64),
	};
}

function runtimeClass(value: unknown): RuntimeClass {
	const known = RUNTIME_CLASSES.find((each) => each === value);
	if (known === undefined) throw new RequestError(`runtimeClass: ${JSON.stringify(value)} isn't ${RUNTIME_CLASSES.join(" or ")}`);
	return known;
}

function sandbox(value: unknown): string {
	if (typeof value !== "string" || !SANDBOX.test(value)) throw new RequestError(`sandbox: ${JSON.stringify(value)} isn't a sandbox's id`);
	return value;
}

function digest(value: unknown, field: string): Digest {
	if (typeof value !== "string" || !isDigest(value)) throw new RequestError(`${field}: ${JSON.stringify(value)} isn't a sha256 digest`);
	return value;
}

function digests(value: unknown, field: string): readonly Digest[] {
	if (!Array.isArray(value) || value.length === 0 || value.length > MAX_LAYERS)
		throw new RequestError(`${field}: 1 to ${MAX_LAYERS} digests`);
	return value.map((one) => digest(one, field));
}

function integer(value: unknown, field: string, min: number, max: number): number {
	if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
		throw new RequestError(`${field}: ${JSON.stringify(value)} isn't a whole number from ${min} to ${max}`);
	return value;
}
