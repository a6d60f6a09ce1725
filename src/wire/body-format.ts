/**
 * A batch's body is encoded once, where its events enter, and never again: the
 * same bytes go over links, to disk, into the cache and out to consumers.
 *
 * It is one MessagePack array, version 1, of ten elements, one a column, so
 * that a filter looks at the distinct namespaces only and an event costs a few
 * reads at known places instead of a decoding of its own:
 *
 *     0  version          1
 *     1  count            number of events, 1 to 65,536
 *     2  namespaces       array of the distinct ones, in the order of their first appearance
 *     3  namespace index  bin, per event the position in 2: u8 where there are up to 256, else u16;
 *                         nil where there is one
 *     4  data lengths     bin, u32 per event; or one number where all have the same
 *     5  data             bin, back to back
 *     6  parents          bin, per event u64 counter and u16 actor, all zero for none; nil where there are none
 *     7  types            [distinct, index] as 2 and 3, the empty string for none; nil where there are none
 *     8  content types    likewise
 *     9  metadata         array, per event nil or [key, value, key, value …]; nil where there is none
 *
 * Numbers inside a bin are little-endian. Metadata is sorted by key, by UTF-16
 * units. Every MessagePack value has its shortest form, and nothing follows the
 * array. So one batch has one encoding, and a digest of it is one of its events.
 */
export const BODY_VERSION = 1;
export const BODY_COLUMNS = 10;
export const PARENT_BYTES = 10;
