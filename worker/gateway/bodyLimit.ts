import { problem } from "../problem";

/** What Cloudflare lets through on most plans: above it nobody needs to count. */
const COUNTED_BELOW = 100 * 1_024 * 1_024;

export interface Limited {
	body: ReadableStream<Uint8Array> | null;
	/** More came than may: what was sent of it broke off. */
	isOver: boolean;
}

/** A body that announces no length is counted as it passes; any other streams as the runtime does it. */
export function limited(request: Request, bytesMax: number): Limited {
	const { body } = request;
	const limit: Limited = { body, isOver: false };
	if (body === null || bytesMax >= COUNTED_BELOW || request.headers.has("content-length")) return limit;
	let left = bytesMax;
	const counting = new TransformStream<Uint8Array, Uint8Array>({
		transform(chunk, controller) {
			left -= chunk.byteLength;
			if (left >= 0) return controller.enqueue(chunk);
			limit.isOver = true;
			controller.error(new Error("the body is too large"));
		},
	});
	limit.body = body.pipeThrough(counting);
	return limit;
}

export const tooLarge = (bytesMax: number): Response => problem(413, `The body is larger than ${bytesMax} bytes.`);
