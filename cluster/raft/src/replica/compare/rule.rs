//! Which state is right when replicas differ: that of a majority, else unknown.

use std::collections::BTreeMap;

use acefleet_registry::Digest;

use super::point::Points;

/// What the newest comparison says about this replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No other replica has told a point of this one.
    #[default]
    Unknown,
    /// All compared replicas agree.
    Same,
    /// A majority agrees with this replica; these do not.
    Outvotes { index: u64, these: Vec<u64> },
    /// A majority disagrees with this replica.
    Outvoted { index: u64, by: Vec<u64> },
    /// These disagree, and neither side is a majority.
    Disputed { index: u64, with: Vec<u64> },
}

/// Compares this replica with the others at its level, `replicas` in all, those without a report included. The index with most
/// reports decides, the newest of several.
pub(crate) fn judge(own: &Points, others: &BTreeMap<u64, Points>, replicas: usize) -> Verdict {
    let told = |index: u64| -> Vec<(u64, Digest)> {
        others.iter().filter_map(|(id, points)| Some((*id, points.at(index)?))).collect()
    };
    let Some((point, told)) = own
        .iter()
        .map(|point| (point, told(point.index)))
        .max_by_key(|(point, told)| (told.len(), point.index))
    else {
        return Verdict::Unknown;
    };
    if told.is_empty() {
        return Verdict::Unknown;
    }
    let index = point.index;
    let mut groups: BTreeMap<Digest, Vec<u64>> = BTreeMap::new();
    for (id, digest) in told {
        groups.entry(digest).or_default().push(id);
    }
    let with_this = 1 + groups.remove(&point.digest).map_or(0, |same| same.len());
    if groups.is_empty() {
        return Verdict::Same;
    }
    let is_majority = |count: usize| 2 * count > replicas;
    if let Some(by) = groups.values().find(|group| is_majority(group.len())) {
        return Verdict::Outvoted { index, by: by.clone() };
    }
    let mut differ: Vec<u64> = groups.into_values().flatten().collect();
    differ.sort_unstable();
    match is_majority(with_this) {
        true => Verdict::Outvotes { index, these: differ },
        false => Verdict::Disputed { index, with: differ },
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::Point;
    use super::*;

    fn points(told: &[(u64, Digest)]) -> Points {
        told.iter().map(|(index, digest)| Point { index: *index, digest: *digest }).collect()
    }

    fn others(told: &[&[(u64, Digest)]]) -> BTreeMap<u64, Points> {
        (2..).zip(told.iter().map(|told| points(told))).collect()
    }

    #[test]
    fn a_majority_is_right_and_without_one_nobody_is() {
        let own = points(&[(9, 1)]);
        assert_eq!(judge(&own, &others(&[]), 3), Verdict::Unknown);
        assert_eq!(judge(&own, &others(&[&[(8, 1)], &[(10, 2)]]), 3), Verdict::Unknown, "no index in common");
        assert_eq!(judge(&own, &others(&[&[(9, 1)]]), 3), Verdict::Same);
        let outvoted = Verdict::Outvoted { index: 9, by: vec![2, 3] };
        assert_eq!(judge(&own, &others(&[&[(9, 2)], &[(9, 2)]]), 3), outvoted);
        let outvotes = Verdict::Outvotes { index: 9, these: vec![3] };
        assert_eq!(judge(&own, &others(&[&[(9, 1)], &[(9, 2)]]), 3), outvotes);
        let disputed = |with: &[u64]| Verdict::Disputed { index: 9, with: with.to_vec() };
        assert_eq!(
            judge(&own, &others(&[&[(9, 2)]]), 3),
            disputed(&[2]),
            "the third could be on either side"
        );
        assert_eq!(judge(&own, &others(&[&[(9, 2)]]), 2), disputed(&[2]));
        assert_eq!(judge(&own, &others(&[&[(9, 2)], &[(9, 3)]]), 3), disputed(&[2, 3]));
    }

    #[test]
    fn the_index_that_most_have_told_decides() {
        let own = points(&[(9, 1), (10, 1)]);
        let told = others(&[&[(9, 2), (10, 1)], &[(9, 2)]]);
        assert_eq!(judge(&own, &told, 3), Verdict::Outvoted { index: 9, by: vec![2, 3] });
        let told = others(&[&[(9, 2), (10, 1)], &[(9, 2), (10, 1)]]);
        assert_eq!(judge(&own, &told, 3), Verdict::Same, "the newest, where as many have told both");
    }

    /// No two replicas with different states both have a majority, however the reports are spread; nor is a replica outvoted
    /// that agrees with one.
    #[test]
    fn no_two_sides_are_both_right() {
        for size in 2..=4_usize {
            for held in 0..3_u32.pow(size as u32) {
                let digests: Vec<Digest> =
                    (0..size as u32).map(|at| (held / 3_u32.pow(at) % 3).into()).collect();
                for known in 0..1_u32 << (size * (size - 1)) {
                    consistent(&digests, known);
                }
            }
        }
    }

    /// Bits of `known` say which replica has the report of which other one.
    fn consistent(digests: &[Digest], known: u32) {
        let size = digests.len();
        let has = |own: usize, other: usize| {
            known >> (own * (size - 1) + other - usize::from(other > own)) & 1 == 1
        };
        let verdicts: Vec<Verdict> = (0..size)
            .map(|own| {
                let told = (0..size).filter(|other| *other != own && has(own, *other));
                let told = told.map(|other| (other as u64, points(&[(5, digests[other])])));
                judge(&points(&[(5, digests[own])]), &told.collect(), size)
            })
            .collect();
        let wins = |at: &usize| matches!(verdicts[*at], Verdict::Outvotes { .. });
        let loses = |at: &usize| matches!(verdicts[*at], Verdict::Outvoted { .. });
        for winner in (0..size).filter(wins) {
            assert!(
                (0..size).filter(wins).all(|other| digests[other] == digests[winner]),
                "{digests:?} {known:b}"
            );
            assert!(
                (0..size).filter(loses).all(|other| digests[other] != digests[winner]),
                "{digests:?} {known:b}"
            );
        }
    }
}
