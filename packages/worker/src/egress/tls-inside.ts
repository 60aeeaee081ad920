import type { Socket } from "node:net";
import { connect, type SecureContext, TLSSocket } from "node:tls";
import type { Connection } from "./connection.js";
import type { PlainHttp, Route } from "./plain-http.js";

/** Nothing else is spoken inside: it is read, to put a header in. */
const PROTOCOLS = ["http/1.1"];

/**
 * Ends a function's TLS here, for a host that gets a secret, and begins another one with that host. The function's is with a certificate that its
 * sandbox alone trusts, the other with what the host shows, held against this node's roots.
 * @param client has said its ClientHello already, which it is read from
 */
export function serveInTls(connection: Connection, context: SecureContext, route: Route, http: PlainHttp, roots: SecureContext): void {
	const { client, host } = connection;
	const inside = new TLSSocket(client, { isServer: true, secureContext: context, ALPNProtocols: PROTOCOLS });
	connection.countInside(client, inside);
	inside.on("error", (error: NodeJS.ErrnoException) => {
		if (isRefusal(error)) connection.fail(new Error("the function's TLS doesn't take the certificate that stands for it here"));
		else client.destroy();
	});
	client.once("close", () => inside.destroy());
	inside.once("secure", () =>
		http.serve(inside, { ...route, isSecure: true, connect: () => outside(connection, host, route.connect(), roots) }),
	);
}

function outside(connection: Connection, host: string, socket: Socket, secureContext: SecureContext): Socket {
	const upstream = connect({ socket, servername: host, secureContext, ALPNProtocols: PROTOCOLS });
	connection.countInside(socket, upstream);
	upstream.once("error", (error) => connection.fail(error));
	return upstream;
}

/** An alert of the client's: it trusts others. */
function isRefusal({ code = "" }: NodeJS.ErrnoException): boolean {
	return /^ERR_SSL_.*(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)$/.test(code);
}
