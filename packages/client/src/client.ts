import { aliasesOf } from "./aliases.js";
import { apiKeysOf } from "./api-keys.js";
import { auditOf } from "./audit.js";
import { buildLogsOf } from "./build-logs.js";
import { callbacksOf } from "./callbacks.js";
import { eventsOf } from "./events.js";
import { functionsOf } from "./functions.js";
import { hooksOf } from "./hooks.js";
import { imagesOf } from "./images.js";
import { invocationsOf } from "./invocations.js";
import { logsOf } from "./logs.js";
import { networksOf } from "./networks.js";
import { nodesOf } from "./nodes.js";
import { packageRegistriesOf } from "./package-registries.js";
import { projectsOf } from "./projects.js";
import { recordsOf } from "./records.js";
import { schedulesOf } from "./schedules.js";
import { secretsOf } from "./secrets.js";
import { type Exchange, type TlsTrust, Transport } from "./transport.js";
import { volumesOf } from "./volumes.js";

export interface ClientOptions {
	/** Base URL of a gateway: `http://127.0.0.1:8080`. A path in it is kept as a prefix. */
	readonly url: string;
	/** API key, sent as a bearer token. Absent: only what needs none (`ready`, public functions). */
	readonly key?: string;
	/** The project that requests are in, for the operator's key; default: `default`. Any other key is of one project anyway. */
	readonly project?: string;
	/** Most connections at the same time; default: as many as there are requests. */
	readonly connections?: number;
	/** Of a gateway that speaks TLS; default: the system's issuers are trusted. */
	readonly tls?: TlsTrust;
	/** Told of every request once it is over. */
	readonly trace?: (exchange: Exchange) => void;
}

/**
 * A typed client of Berth's HTTP API. It keeps connections alive; whoever made it closes it.
 * An answer that is a problem rejects with ApiError, no answer with ConnectionError.
 */
export type Client = ReturnType<typeof functionsOf> &
	ReturnType<typeof aliasesOf> &
	ReturnType<typeof apiKeysOf> &
	ReturnType<typeof auditOf> &
	ReturnType<typeof buildLogsOf> &
	ReturnType<typeof callbacksOf> &
	ReturnType<typeof eventsOf> &
	ReturnType<typeof hooksOf> &
	ReturnType<typeof imagesOf> &
	ReturnType<typeof invocationsOf> &
	ReturnType<typeof logsOf> &
	ReturnType<typeof networksOf> &
	ReturnType<typeof secretsOf> &
	ReturnType<typeof nodesOf> &
	ReturnType<typeof packageRegistriesOf> &
	ReturnType<typeof projectsOf> &
	ReturnType<typeof recordsOf> &
	ReturnType<typeof schedulesOf> &
	ReturnType<typeof volumesOf> &
	AsyncDisposable & {
		/** Closes every connection; requests under way are rejected. */
		close(): Promise<void>;
	};

/** @throws TypeError when the URL isn't one */
export function createClient(options: ClientOptions): Client {
	const transport = new Transport(options);
	const close = () => transport.close();
	return {
		...functionsOf(transport),
		...aliasesOf(transport),
		...apiKeysOf(transport),
		...auditOf(transport),
		...buildLogsOf(transport),
		...callbacksOf(transport),
		...eventsOf(transport),
		...hooksOf(transport),
		...imagesOf(transport),
		...invocationsOf(transport),
		...logsOf(transport),
		...networksOf(transport),
		...secretsOf(transport),
		...nodesOf(transport),
		...packageRegistriesOf(transport),
		...projectsOf(transport),
		...recordsOf(transport),
		...schedulesOf(transport),
		...volumesOf(transport),
		close,
		[Symbol.asyncDispose]: close,
	};
}
