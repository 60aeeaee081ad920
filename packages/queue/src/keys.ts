/** Every key and channel of ours in Redis; BullMQ's own begin with `berth:q:`. */
export const QUEUE_PREFIX = "berth:q";

/** BullMQ queues. */
export const BACKGROUND_QUEUE = "background";
export const BUILD_QUEUE = "builds";
export const interactiveQueueOf = (node: string): string => `i-${node}`;

/** Fast Redis: settlements on their way to a gateway, and those published while it wasn't listening. */
export const replyChannelOf = (gateway: string): string => `berth:reply:${gateway}`;
export const MAILBOX_PREFIX = "berth:mail:";

/** Fast Redis: records of the interactive lane, hashes of id → record per bucket of time. */
export const RECORDS = {
	success: { buckets: "berth:rec:s:", sizes: "berth:rec:s" },
	other: { buckets: "berth:rec:o:", sizes: "berth:rec:o" },
} as const;

/** Durable Redis: the record of a background invocation, and the lane's totals. */
export const backgroundRecordOf = (id: string): string => `berth:bg:${id}`;
/** There for a day after a background invocation of the version was accepted. */
export const backgroundOf = (project: string, name: string, version: number): string => `berth:bg-of:${project}/${name}:${version}`;
export const BACKGROUND_TOTALS = "berth:totals:background";

/** Fast Redis: what happened in a project, or to the nodes; that something was told; and that there is something new. */
export const eventsOf = (project: string | undefined): string => (project === undefined ? "berth:events" : `berth:events:${project}`);
export const onceOf = (what: string): string => `berth:told:${what}`;
export const EVENT_NEWS = "berth:news:events";

/** Fast Redis: nodes. */
export const NODE_IDS = "berth:nodes";
export const nodeLeaseOf = (node: string): string => `berth:node:${node}`;
export const NODE_NEWS = "berth:news:nodes";
/** Fast Redis: ids of a node's invocations whose caller went away. */
export const cancelChannelOf = (node: string): string => `berth:cancel:${node}`;
export const questionsOf = (node: string): string => `berth:ask:${node}`;
export const answersOf = (asker: string): string => `berth:answers:${asker}`;
