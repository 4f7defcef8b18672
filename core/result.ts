/** An expected outcome, good or bad, as a value. A bug throws instead. */
export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const err = <E>(error: E): { readonly ok: false; readonly error: E } => ({ ok: false, error });

/** Ends an exhaustive switch: a new member of the union stops compiling here. */
export function assertNever(value: never): never {
	throw new Error(`unexpected value ${JSON.stringify(value)}`);
}
