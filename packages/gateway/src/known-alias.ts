import { BerthError, LIVE } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";

/**
 * Whether what is to be invoked later, when nobody looks, is there. `live` comes with the first version that is ready; that there is no
 * such function says who makes what invokes it. @throws BerthError invalid_request
 */
export async function requireAlias(project: string, name: string, alias: string | undefined, functions: FunctionRegistry): Promise<void> {
	if (alias === undefined || alias === LIVE) return;
	const summary = await functions.getFunction(project, name);
	if (summary === undefined || summary.aliases.some((one) => one.name === alias)) return;
	const message = `${name} has no alias ${alias}; make it first`;
	throw new BerthError("invalid_request", `alias: ${message}`, { issues: [{ field: "alias", message }] });
}
