export { S3Gate } from "./s3-gate.js";
export { S3Server } from "./s3-server.js";
