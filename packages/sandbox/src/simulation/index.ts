export { type Outcome, shareAt, simulateFixed, simulateHybrid } from "./simulate.js";
export { type Arrivals, chanceOf, makeTraces } from "./traces.js";
