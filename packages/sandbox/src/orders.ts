import {
	type BootRequest,
	SANDBOX_PATHS,
	type SandboxLimits,
	type SandboxProgram,
	type SpecialiseHead,
	type SpecialiseRequest,
	sandboxNetworkOf,
	storageOf,
} from "@berth/contracts";
import type { BootKey } from "./boot-key.js";
import type { Specialisation } from "./version-target.js";

/** What an engine is asked for that is to boot a sandbox. @param leavesCpu whether it is to leave one CPU to others */
export function bootOrder(
	sandbox: string,
	bootKey: BootKey,
	program: SandboxProgram,
	limits: SandboxLimits,
	leavesCpu: boolean,
): BootRequest {
	const { base, kind, runtimeClass, own, ownIsRoot, of, storage, network } = bootKey;
	return {
		sandbox,
		base: base.layers.map(({ digest }) => digest),
		kind,
		program,
		...(runtimeClass === undefined ? {} : { runtimeClass }),
		limits,
		...(own === undefined ? {} : { own: own.map(({ digest }) => digest), ownIsRoot: ownIsRoot === true }),
		...(of === undefined ? {} : { of }),
		...(storage === undefined ? {} : { storage }),
		...(leavesCpu ? { leavesCpu } : {}),
		network,
	};
}

/** What an engine is asked for that is to give a booted sandbox its function. */
export function graftOrder(sandbox: string, { project, image, manifest }: Specialisation, limits: SandboxLimits): SpecialiseRequest {
	const storage = storageOf(project, manifest);
	const layers = image.layers.map(({ digest }) => digest);
	return { sandbox, layers, limits, network: sandboxNetworkOf(manifest.network), ...(storage.length === 0 ? {} : { storage }) };
}

/** What an agent is told of its function. */
export function specialiseHead(target: Specialisation, outputMark: SpecialiseHead["outputMark"]): SpecialiseHead {
	return {
		entry: `${SANDBOX_PATHS.code}/${target.image.entry}`,
		project: target.project,
		function: target.function,
		version: target.version,
		env: target.secrets === undefined ? target.manifest.env : { ...target.manifest.env, ...target.secrets.variables },
		scratch: target.manifest.scratch,
		...(target.image.isImage === true ? { isImage: true } : {}),
		...(outputMark === undefined ? {} : { outputMark }),
	};
}

/** The body of the same frame. */
export function trustedBy({ secrets }: Specialisation): Uint8Array | undefined {
	return secrets?.certificates === undefined ? undefined : Buffer.from(secrets.certificates.join("\n"));
}
