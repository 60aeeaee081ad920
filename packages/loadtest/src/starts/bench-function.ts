import { randomBytes } from "node:crypto";
import type { Client } from "@berth/client";
import type { InlineDeployInput } from "@berth/contracts";
import type { Subject } from "../options.js";

/** A function to be measured. Whoever opened it disposes of it: what was deployed for the bench is removed then. */
export interface BenchFunction extends AsyncDisposable {
	readonly project: string;
	readonly name: string;
	/** Whether `renew` makes a version that nothing has seen before. */
	readonly distinctVersions: boolean;
	readonly sourceBytes: number | undefined;
	/** Makes the next invocation a cold start, as soon as the function's idle sandboxes are gone. */
	renew(): Promise<void>;
}

/** @throws ApiError when it can't be deployed or isn't there */
export async function openFunction(client: Client, subject: Subject): Promise<BenchFunction> {
	return subject.kind === "source" ? await deployOwn(client, subject.deploy) : await findDeployed(client, subject.name);
}

async function deployOwn(client: Client, deploy: InlineDeployInput): Promise<BenchFunction> {
	const run = randomBytes(4).toString("hex");
	const name = `bench-${run}`;
	let version = 0;
	// The line has an effect, so that the bundler keeps it: every version has a code layer of its own.
	const renew = async () => {
		version++;
		return await client.deploy(name, { ...deploy, source: `${deploy.source}\nglobalThis.berthBenchVersion = "${run}-${version}";\n` });
	};
	const first = await renew();
	return {
		project: first.version.project,
		name,
		distinctVersions: true,
		sourceBytes: Buffer.byteLength(deploy.source),
		renew: async () => void (await renew()),
		[Symbol.asyncDispose]: () => client.remove(name),
	};
}

async function findDeployed(client: Client, name: string): Promise<BenchFunction> {
	const { version } = await client.get(name);
	return {
		project: version.project,
		name,
		distinctVersions: false,
		sourceBytes: version.source.sizeBytes,
		renew: async () => undefined,
		[Symbol.asyncDispose]: async () => undefined,
	};
}
