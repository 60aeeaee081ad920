declare module "@20minutes/s3rver" {
	/** What is used of it here: an S3 server over a directory, which checks signatures. */
	export default class S3rver {
		constructor(options: {
			readonly port: number;
			readonly address: string;
			readonly silent: boolean;
			readonly directory: string;
			readonly configureBuckets: readonly { readonly name: string }[];
		});
		run(): Promise<{ readonly port: number; readonly address: string }>;
		close(): Promise<void>;
	}
}
