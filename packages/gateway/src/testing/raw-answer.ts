import { once } from "node:events";
import { connect } from "node:net";

/** What comes back for these bytes until the server closes the connection. */
export async function rawAnswer(url: string, text: string): Promise<string> {
	const socket = connect(Number(new URL(url).port), "127.0.0.1");
	socket.on("error", () => undefined);
	socket.write(text);
	let answer = "";
	socket.on("data", (chunk: Buffer) => {
		answer += chunk.toString();
	});
	await once(socket, "close");
	return answer;
}
