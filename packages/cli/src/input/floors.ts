import { FLOORS, type FloorName } from "@berth/loadtest";
import { InvalidArgumentError } from "commander";

/** Which floors to measure: their names with commas between, `all` or `none`. */
export function parseFloors(text: string): readonly FloorName[] {
	if (text === "none") return [];
	if (text === "all") return FLOORS;
	const names = text.split(",").map((name) => name.trim());
	const unknown = names.filter((name) => !isFloor(name));
	if (unknown.length > 0) throw new InvalidArgumentError(`There is no floor ${unknown.join(", ")}. There are: ${FLOORS.join(", ")}.`);
	return FLOORS.filter((name) => names.includes(name));
}

function isFloor(name: string): name is FloorName {
	return FLOORS.some((floor) => floor === name);
}
