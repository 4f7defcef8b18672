/** `$.a.b[0]`: names and places, and nothing that is evaluated. */

export const JSON_PATH = /^\$(?:\.[\w-]+|\[\d{1,6}\])*$/;

export type Found = { readonly found: true; readonly value: unknown } | { readonly found: false };

/** What stands there. Only what the text itself holds: no value of a prototype is ever found. */
export function valueAt(path: string, whole: unknown): Found {
	let value = whole;
	for (const [part] of path.matchAll(/[\w-]+/g)) {
		if (typeof value !== "object" || value === null || (Array.isArray(value) && part === "length") || !Object.hasOwn(value, part))
			return { found: false };
		value = (value as Record<string, unknown>)[part];
	}
	return { found: true, value };
}
