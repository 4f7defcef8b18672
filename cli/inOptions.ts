import { problemIn } from "./controlApi";
import { Stop } from "./exit";
import type { OptionName } from "./options";

/** What control refuses of a request that options were made into, told by these: `fields` are the request's. */
export function inOptions(error: unknown, fields: Readonly<Record<string, OptionName>>): unknown {
	const errors = problemIn(error)?.errors;
	if (!(error instanceof Stop) || errors === undefined) return error;
	const lines = errors.map(({ pointer, message }) => {
		const [field = ""] = /[A-Za-z]+/.exec(pointer) ?? [];
		const option = Object.hasOwn(fields, field) ? fields[field] : undefined;
		return `${option === undefined ? pointer : `--${option}`}: ${message}`;
	});
	return new Stop(error.exit, lines.join("\n"), error.details);
}
