// The floor that a gateway is measured against: Express with express.json(), echoing. It says its port on stdout and
// ends when its standard input does.
import express from "express";

const app = express();
app.use(express.json());
app.post("/", (request, response) => {
	response.json(request.body);
});
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on("end", () => process.exit()).resume();
