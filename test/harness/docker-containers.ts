import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { json } from "node:stream/consumers";

/** Names of an Engine's containers, running or not, asked for by another way than the one that is tested. @param node of this one alone */
export async function containersOf(socketPath: string, node?: string): Promise<readonly string[]> {
	const filters = JSON.stringify(node === undefined ? {} : { label: [`dev.berth.node=${node}`] });
	const asked = request({ socketPath, path: `/containers/json?all=1&filters=${encodeURIComponent(filters)}` }).end();
	const [response] = (await once(asked, "response")) as [IncomingMessage];
	const all = (await json(response)) as readonly { readonly Names: readonly string[] }[];
	return all.map(({ Names }) => (Names[0] ?? "").slice(1));
}
