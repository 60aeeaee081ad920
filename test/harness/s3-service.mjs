/** The tests' S3 server as a program, for a container: port 9000, one bucket, whose requests are signed. */
import S3rver from "@20minutes/s3rver";

const server = new S3rver({
	address: "0.0.0.0",
	port: 9000,
	silent: true,
	directory: "/tmp/s3",
	configureBuckets: [{ name: "payloads" }],
	// Its host has a name, and that isn't a bucket's.
	vhostBuckets: false,
});
await server.run();
process.once("SIGTERM", () => server.close());
