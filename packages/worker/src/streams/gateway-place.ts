import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from "node:http";
import { BerthError, type StreamPlace, streamKey, streamPath } from "@berth/contracts";

/** Connections that are kept: a stream is begun on one that is there. */
const IDLE_CONNECTIONS = 16;
const UNIX = "unix:";

/** Connections to gateways, for streams. */
export class GatewayPlaces {
	readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS });

	/** A request about an invocation at the gateway that owns it. @throws Error for an address that isn't one */
	ask(method: "GET" | "PUT", place: StreamPlace, id: string): ClientRequest {
		return request({ ...placeOf(place), method, path: streamPath(id), headers: { authorization: streamKey(place) }, agent: this.#agent });
	}

	/** An invocation's request body, as it comes. @throws BerthError cancelled when there is none to be had any more */
	async body(place: StreamPlace, id: string): Promise<IncomingMessage> {
		return await new Promise((resolve, reject) => {
			const gone = () => reject(new BerthError("cancelled", "the request's body is gone"));
			const asked = this.ask("GET", place, id).on("error", gone);
			asked.once("response", (answer) => {
				if (answer.statusCode === 200) return resolve(answer);
				answer.resume();
				gone();
			});
			asked.end();
		});
	}

	close(): void {
		this.#agent.destroy();
	}
}

function placeOf({ address }: StreamPlace): RequestOptions {
	if (address.startsWith(UNIX)) return { socketPath: address.slice(UNIX.length) };
	if (!address.startsWith("http://")) throw new Error(`${address} is no address of a gateway`);
	const { hostname, port } = new URL(address);
	return { host: hostname.replace(/^\[|\]$/g, ""), port };
}
