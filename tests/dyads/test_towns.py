"""The second world: its own people and dialogues, names that tell the towns apart, and the same bytes after a kill."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from dyads.contract import SPLITS, read_manifest
from dyads.errors import ConfigError
from dyads.synthetic.conversation import plan
from dyads.synthetic.identities import identities_of, person
from dyads.synthetic.towns import FIRST, LAST, Towns, write_towns
from dyads.synthetic.world import WorldOptions
from training.shipped import FOLDERS, card_of

ROOT = Path(__file__).resolve().parents[2]
SHORT = WorldOptions(train=1, test=1, size=32, seconds=(4.0, 4.0))


def test_two_towns_are_one_data_folder_and_a_killed_one_is_finished_to_the_same_bytes(tmp_path):
    write_towns(tmp_path / "both", Towns((1900, 1901), replace(SHORT, workers=2)), progress=False)
    dyads = read_manifest(tmp_path / "both")
    assert [d.dyad_id for d in dyads] == [f"w{t}_{s}_0000" for t in (1900, 1901) for s in ("test", "train")]
    assert all(d.truth_path.is_file() for d in dyads)
    people = {d.side(role).subject_id for d in dyads for role in ("user", "avatar")}
    assert len(people) == 8 and {name.partition("_")[0] for name in people} == {"w1900", "w1901"}
    before = (tmp_path / "both/manifest.csv").read_bytes()
    (tmp_path / "both/manifest.csv").unlink()
    (tmp_path / "both/train/w1901_train_0000/truth.safetensors").unlink()
    write_towns(tmp_path / "both", Towns((1900, 1901), SHORT), progress=False)
    assert (tmp_path / "both/manifest.csv").read_bytes() == before


@pytest.mark.parametrize("seeds", [(0,), (1901, 1901), (2000,), ()])
def test_seeds_of_studies_and_repeated_ones_are_refused(seeds):
    with pytest.raises(ConfigError, match="town"):
        Towns(seeds, SHORT)


def test_nobody_and_no_dialogue_is_shared_with_a_study_or_between_generators_and_readers():
    """By what makes them: every look and voice, and every plan of a dialogue, of all worlds that there are."""
    profiles = [yaml.safe_load(path.read_text()) or {} for path in (ROOT / "workflow/config").glob("*.yaml")]
    studies = {(profile.get("world") or {}).get("seed", 0) for profile in profiles}
    towns = {name: set(card_of(name)["data"]["seeds"]) for name in FOLDERS}
    generators, readers = (
        set.union(*(towns[name] for name in FOLDERS if FOLDERS[name] == kind)) for kind in ("backbones", "readers")
    )
    assert all(FIRST <= seed <= LAST for seed in generators | readers)
    assert not generators & readers and not studies & (generators | readers)

    def looks(seeds):
        drawn = [asdict(person(k, seed)) for seed in seeds for split in SPLITS for k in identities_of(split)]
        return {tuple(sorted((key, repr(value)) for key, value in one.items() if key != "index")) for one in drawn}

    def plans(seeds):
        return {repr(plan(seed, split, k, 10.0)) for seed in seeds for split in SPLITS for k in range(40)}

    for found in (looks, plans):
        sets = [found(seeds) for seeds in (studies, generators, readers)]
        assert len(set.union(*sets)) == sum(map(len, sets))
