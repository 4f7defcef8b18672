import * as z from "zod";
import { aDuration, durationMs, printDuration } from "../rollouts/duration";

/** As everywhere, and for answers of machines also in milliseconds: `500ms`. */
function checkDurationMs(text: string): number | undefined {
	const milliseconds = /^(\d{1,6})ms$/.exec(text)?.[1];
	return milliseconds === undefined ? durationMs(text) : Number(milliseconds);
}

/** Of a field that its schema has taken. */
export function msOf(text: string): number {
	const ms = checkDurationMs(text);
	if (ms === undefined) throw new RangeError(`"${text}" is no duration`);
	return ms;
}

export const printMs = (ms: number): string => (ms < 1_000 ? `${ms}ms` : printDuration(ms));

export function durationField(minMs: number, maxMs: number) {
	return z.string(aDuration).superRefine((text, context) => {
		const ms = checkDurationMs(text);
		const message =
			ms === undefined
				? (aDuration.error({ input: text }) ?? "")
				: ms < minMs || ms > maxMs
					? `takes ${printMs(minMs)} to ${printMs(maxMs)}`
					: undefined;
		if (message !== undefined) context.addIssue({ code: "custom", message });
	});
}
