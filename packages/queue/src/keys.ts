/** Every key and channel of ours in Redis; BullMQ's own begin with `berth:q:`. */
export const QUEUE_PREFIX = "berth:q";

/** BullMQ queues. */
/** Where background invocations of all functions waited up to 0.3: what an upgrade finds in it is run. */
export const SHARED_BACKGROUND_QUEUE = "background";
/** @param key of a function, as `functionKeyOf` */
export const functionQueueOf = (key: string): string => (key === SHARED_BACKGROUND_QUEUE ? key : `b-${key}`);
export const BUILD_QUEUE = "builds";
export const interactiveQueueOf = (node: string): string => `i-${node}`;

/** Fast Redis: settlements on their way to a gateway, and those published while it wasn't listening. */
export const replyChannelOf = (gateway: string): string => `berth:reply:${gateway}`;
export const MAILBOX_PREFIX = "berth:mail:";

/** Fast Redis: of a job of the interactive lane, which of its invocations a worker has taken and not begun. */
export const unbegunOf = (job: string): string => `berth:unbegun:${job}`;

/** Fast Redis: what tells it from others. Durable Redis: the id of the fast one that its stack works with, and the machine that said so last; held by all of it. */
export const FAST_ID = "berth:fast-id";
export const FAST_IN_USE = "berth:fast-in-use";

/** Fast Redis: written to see whether anything can be. */
export const TRIAL = "berth:trial";

/** Fast Redis: records of the interactive lane, hashes of id → record per bucket of time. */
export const RECORDS = {
	success: { buckets: "berth:rec:s:", sizes: "berth:rec:s" },
	other: { buckets: "berth:rec:o:", sizes: "berth:rec:o" },
} as const;

/** Durable Redis: the record of a background invocation, and the lane's totals. */
export const BACKGROUND_RECORDS = "berth:bg:";
export const backgroundRecordOf = (id: string): string => BACKGROUND_RECORDS + id;
/** Durable Redis: ids of background invocations, of a project and of each function; of a project's dead letters; the names of all these. */
export const LIST_PREFIX = "berth:bg-list:";
export const projectListOf = (project: string): string => LIST_PREFIX + project;
export const functionListOf = (project: string, name: string): string => `${LIST_PREFIX}${project}/${name}`;
export const DEAD_LETTERS = "berth:bg-dead:";
export const deadLettersOf = (project: string): string => DEAD_LETTERS + project;
export const LISTS = "berth:bg-lists";
/** Durable Redis: of a project ids of settled invocations that may be asked for again, and have no record any more. */
export const KNOWN_IDS = "berth:bg-known:";
/** Durable Redis: held by who sweeps these. */
export const LISTS_SWEPT = "berth:bg-swept";
/** Durable Redis: held by who looks for bodies that nobody needs. */
export const BODIES_SWEPT = "berth:bg-bodies-swept";
/** Durable Redis, channels: what happened to a background invocation; ids of those that run and were cancelled. */
export const NEWS_PREFIX = "berth:bg-news:";
export const BACKGROUND_CANCELS = "berth:bg-cancels";
/** There for a day after a background invocation of the version was accepted. */
export const backgroundOf = (project: string, name: string, version: number): string => `berth:bg-of:${project}/${name}:${version}`;
/** What a function is called in the background lane. No function's key is `SHARED_BACKGROUND_QUEUE`: it has no slash. */
export const functionKeyOf = ({ project, function: name }: { readonly project: string; readonly function: string }): string =>
	`${project}/${name}`;
/**
 * Durable Redis: the functions with background work, by when each is to be looked at next; when one was last added to;
 * every function that something is kept of, until it is deleted; those that are paused; and the channel that names those with something new.
 */
export const LANE = {
	index: "berth:lane:index",
	marks: "berth:lane:marks",
	known: "berth:lane:known",
	paused: "berth:lane:paused",
	news: "berth:lane:news",
} as const;
/** What follows settlements and isn't done yet: of each kind the projects, of each of these its own, by when it is due; channel: there is something new. */
export const OUTBOX = "berth:outbox";
export const outboxOf = (kind: string, project?: string): string => `${OUTBOX}:${kind}${project === undefined ? "" : `:${project}`}`;
export const OUTBOX_NEWS = "berth:news:outbox";
export const BACKGROUND_TOTALS = "berth:totals:background";

/** Fast Redis: what happened in a project, or to the nodes; that something was told; and that there is something new. */
export const eventsOf = (project: string | undefined): string => (project === undefined ? "berth:events" : `berth:events:${project}`);
export const onceOf = (what: string): string => `berth:told:${what}`;
export const EVENT_NEWS = "berth:news:events";

/** Fast Redis: nodes. */
export const NODE_IDS = "berth:nodes";
export const nodeLeaseOf = (node: string): string => `berth:node:${node}`;
/** Nodes that may have something in a queue of theirs, by when each was last seen; and held by the gateway that looks after what those leave that don't come back. */
export const NODE_QUEUES = "berth:node-queues";
export const REAPER = "berth:reaper";
/** There while an operator has a node drained, also over starts of its worker. */
export const drainedOf = (node: string): string => `berth:drained:${node}`;
export const GATEWAY_IDS = "berth:gateways";
/** Channel: a gateway has come or gone. */
export const GATEWAY_NEWS = "berth:news:gateways";
export const gatewayLeaseOf = (gateway: string): string => `berth:gateway:${gateway}`;
export const NODE_NEWS = "berth:news:nodes";
/** Fast Redis: ids of a node's invocations whose caller went away. */
export const cancelChannelOf = (node: string): string => `berth:cancel:${node}`;
/** Fast Redis: to all gateways, which invocation is cancelled by its id; and what they say to the one that asked. */
export const CANCEL_QUESTIONS = "berth:cancels";
export const cancelAnswersOf = (gateway: string): string => `berth:cancels:${gateway}`;
export const questionsOf = (node: string): string => `berth:ask:${node}`;
export const answersOf = (asker: string): string => `berth:answers:${asker}`;
/** Fast Redis: of a version that crashes again and again, how, and until when nothing of it is started. */
export const crashLoopOf = (of: { readonly project: string; readonly function: string; readonly version: number }): string =>
	`berth:failing:${functionKeyOf(of)}:${of.version}`;
/** Fast Redis: of a project with a rate limit the requests that it may make now, and which of these are lent to gateways. */
export const rateOf = (project: string): string => `berth:rate:${project}`;
/**
 * Fast Redis: of a project with a bound on what it has in flight at once, what that is of each lane, by when each is given up; that a worker
 * was refused one lately; and the channel that names those of which one was given back then.
 */
export const slotsOf = (project: string, lane: "interactive" | "background"): string =>
	lane === "interactive" ? `berth:slots:${project}` : `berth:slots-background:${project}`;
export const slotsWantedOf = (project: string): string => `berth:slots-wanted:${project}`;
export const SLOT_NEWS = "berth:news:slots";
