import { createServer } from "node:http";

/** As long as a refusal of the gateway. */
const BODY = JSON.stringify({ type: "about:blank", title: "Too busy", status: 429, detail: "x".repeat(400) });

// The floor of a flood: takes each request whole, and refuses it. Prints its port, and ends with its standard input.
const server = createServer((request, response) => {
	request.resume();
	request.once("end", () => {
		response.writeHead(429, { "content-type": "application/problem+json", "content-length": BODY.length, "retry-after": "1" });
		response.end(BODY);
	});
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
process.stdin.resume();
process.stdin.once("end", () => process.exit());
