import type { Registrar } from "../../registrar.js";
import { registerHookChanges } from "./change.js";
import { registerHookEvents } from "./events.js";
import { registerHookSend } from "./send.js";
import { registerHookViews } from "./view.js";

const HELP = `
A hook is a URL for a provider's deliveries: verified, let in once, on record.
docs/webhooks.md says of each scheme how its provider is set up.

Examples:
  berth hooks create shop --scheme github --event push
  berth hooks tail shop github
  berth hooks send push.json --to shop/github --event push --secret-stdin
  berth hooks redeliver shop github --failed-since 2h`;

/** `berth hooks create|update|rotate|remove|list|inspect|events|tail|redeliver|send` */
export function registerHooks(registrar: Registrar): void {
	const hooks = registrar.program
		.command("hooks")
		.description("webhooks of functions: make, look after, try")
		// With their arguments the names leave no room for what they do.
		.configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
		.addHelpText("after", HELP);
	registerHookChanges(hooks, registrar);
	registerHookViews(hooks, registrar);
	registerHookEvents(hooks, registrar);
	registerHookSend(hooks, registrar);
}
