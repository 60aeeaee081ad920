import { PAUSE_ROUTES } from "./background/pauses.js";
import { FOLLOW_UP_ROUTES } from "./follow-ups/routes.js";
import { hookRoutes } from "./hooks/routes.js";
import type { Invocations } from "./invocations.js";
import type { Route } from "./route.js";
import { ALIAS_ROUTES } from "./routes/alias-routes.js";
import { FUNCTION_ROUTES } from "./routes/function-routes.js";
import { IMAGE_ROUTES } from "./routes/image-routes.js";
import { invocationRoutes } from "./routes/invocation-routes.js";
import { AUDIT_ROUTES, KEY_ROUTES, TENANT_ROUTES } from "./routes/key-routes.js";
import { LOG_ROUTES } from "./routes/log-routes.js";
import { HEALTH_ROUTES, NODE_ROUTES } from "./routes/node-routes.js";
import { NETWORK_ROUTES, PACKAGE_ROUTES, SECRET_ROUTES, VOLUME_ROUTES } from "./routes/project-routes.js";
import { DEAD_LETTER_ROUTES, RECORD_ROUTES } from "./routes/record-routes.js";
import { SCHEDULE_ROUTES } from "./schedules/routes.js";

/** Every route, the hottest first. */
export function routes(invocations: Invocations): readonly Route[] {
	return [
		...invocationRoutes(invocations),
		...RECORD_ROUTES,
		...DEAD_LETTER_ROUTES,
		...FUNCTION_ROUTES,
		...PAUSE_ROUTES,
		...ALIAS_ROUTES,
		...FOLLOW_UP_ROUTES,
		...hookRoutes(invocations),
		...SCHEDULE_ROUTES,
		...NETWORK_ROUTES,
		...VOLUME_ROUTES,
		...SECRET_ROUTES,
		...IMAGE_ROUTES,
		...PACKAGE_ROUTES,
		...KEY_ROUTES,
		...TENANT_ROUTES,
		...AUDIT_ROUTES,
		...LOG_ROUTES,
		...NODE_ROUTES,
		...HEALTH_ROUTES,
	];
}

/** The route of the OpenAPI document. */
export function documentRoute(serve: Route["serve"]): Route {
	return { method: "get", path: "/openapi.json", summary: "This document", scope: "none", answers: { 200: "OpenAPI 3.1" }, serve };
}

/** `/fn/{project}/{rest}` as Express writes it: `/fn/:project/*rest`. */
export function expressPath(path: string): string {
	return path.replace("{rest}", "*rest").replace(/\{(\w+)\}/g, ":$1");
}
