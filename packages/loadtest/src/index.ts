export { BenchError } from "./bench-error.js";
export { closedLoop } from "./load/closed-loop.js";
export { openLoop } from "./load/open-loop.js";
export {
	type BenchOptions,
	FLOORS,
	type FloorName,
	HELLO,
	type LoadOptions,
	type OnProgress,
	PRESETS,
	type Progress,
	type Subject,
} from "./options.js";
export { reportHtml } from "./report/html/page.js";
export type { BenchReport, Floors, LoadFigures, ProgramFloor, StartFigures, StartName, TransportFloor } from "./report/report.js";
export { reportText } from "./report/text.js";
export { runBench } from "./run-bench.js";
