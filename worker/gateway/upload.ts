import { problem } from "../problem";
import type { Sources } from "../sources";
import { within } from "../within";

/** A request's body on its way to the origin. */

/** What Cloudflare lets through on most plans: above it nobody needs to count. */
const COUNTED_BELOW = 100 * 1_024 * 1_024;
/** What is larger may take longer than an origin may take to answer. */
const SLOW_FROM = 64 * 1_024;
const PIECE_BYTES = 64 * 1_024;

export interface Upload {
	readonly body: ReadableStream<Uint8Array> | ArrayBuffer | null;
	/** Why it did not get to its end, where that is no fault of the origin's. */
	broken: "too_large" | "client_gone" | "stalled" | undefined;
	/** It streams as the runtime does it, which tells a client that left from an origin that did by nothing. */
	readonly isOpaque: boolean;
	/** When the last piece of it went out; 0: nobody looks. */
	movedAtMs: number;
	/** It is the client that the next piece is waited for, and not the origin that takes none. */
	isAwaited: boolean;
	/** Set by whoever asks the origin, which must not take what it got for all of it. */
	breakOff: () => void;
}

const passing = (body: Upload["body"], isOpaque: boolean): Upload => ({
	body,
	broken: undefined,
	isOpaque,
	movedAtMs: 0,
	isAwaited: false,
	breakOff: () => undefined,
});

/**
 * A small body that nothing is concluded from streams as the runtime does it, and so does one that announces no length: a copy of that could
 * not be broken off once the origin has begun to answer.
 */
export function uploadOf(
	request: Request,
	{ bytesMax, isMeasured, now }: { readonly bytesMax: number; readonly isMeasured: boolean; readonly now: () => number },
): Upload {
	const { body } = request;
	if (body === null) return passing(null, false);
	const announced = request.headers.get("content-length");
	if (announced === null ? bytesMax >= COUNTED_BELOW : !isMeasured && Number(announced) < SLOW_FROM) return passing(body, true);
	const { readable, writable } = announced === null ? new IdentityTransformStream() : new FixedLengthStream(Number(announced));
	const copied = { ...passing(readable, false), movedAtMs: now() };
	void copy(body, writable, copied, bytesMax, now);
	return copied;
}

/** Of a body that is sent twice: it was small enough to be kept, and to come in the time that an origin has. */
export async function keptUpload(request: Request, timeoutMs: number, { now, wait }: Pick<Sources, "now" | "wait">): Promise<Upload> {
	if (request.body === null) return passing(null, false);
	const untilMs = now() + timeoutMs;
	try {
		return passing(await within(timeoutMs, request.arrayBuffer(), wait), false);
	} catch {
		return { ...passing(null, false), broken: now() < untilMs ? "client_gone" : "stalled" };
	}
}

/** Only who reads and writes can tell which side went away: to the runtime both are a lost connection. Never rejects. */
async function copy(
	body: ReadableStream<Uint8Array>,
	to: WritableStream<Uint8Array>,
	upload: Upload,
	bytesMax: number,
	now: () => number,
): Promise<void> {
	const writer = to.getWriter();
	let left = bytesMax;
	let buffer = new ArrayBuffer(PIECE_BYTES);
	let reader: ReadableStreamBYOBReader;
	const giveUp = async (broken: Upload["broken"], error: unknown): Promise<void> => {
		upload.broken = broken;
		upload.breakOff();
		await writer.abort(error).catch(() => undefined);
	};
	try {
		reader = body.getReader({ mode: "byob" });
	} catch (error) {
		return giveUp("client_gone", error);
	}
	for (;;) {
		let piece: ReadableStreamReadResult<Uint8Array>;
		upload.isAwaited = true;
		try {
			// oxlint-disable-next-line no-await-in-loop -- a stream comes piece by piece
			piece = await reader.read(new Uint8Array(buffer));
		} catch (error) {
			return giveUp("client_gone", error);
		}
		upload.isAwaited = false;
		if (piece.done) return writer.close().catch(() => undefined);
		left -= piece.value.byteLength;
		if (left < 0) {
			// oxlint-disable-next-line no-await-in-loop -- the last of it
			await giveUp("too_large", new Error("the body is too large"));
			return reader.cancel().catch(() => undefined);
		}
		try {
			// oxlint-disable-next-line no-await-in-loop -- as fast as the origin takes it
			await writer.write(piece.value);
		} catch {
			return reader.cancel().catch(() => undefined);
		}
		upload.movedAtMs = now();
		buffer = piece.value.buffer as ArrayBuffer;
	}
}

export const tooLarge = (bytesMax: number): Response => problem(413, `The body is larger than ${bytesMax} bytes.`);
