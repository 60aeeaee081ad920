export { Bucket, type BucketPlace } from "./bucket.js";
export { tryBucket } from "./try-bucket.js";
