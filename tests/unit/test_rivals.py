"""The losses, networks and answers of speech2face, the contrastive space and the flows, against plain computations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines import contrastive, flow, identity_flow, residual_flow, speech2face
from baselines.contrastive import JointSpace, Prototypes, contrastive_loss, fit_prototypes
from baselines.flow import Flow, flow_matching_loss, measure_faces, mixed
from baselines.system import by_segment, to_bytes
from sf2f_bench import BenchError, ModelSettings
from sf2f_bench.benchmarks import OTHERS
from sf2f_bench.registry import MODELS
from sf2f_bench.runs.stages import is_trained
from sf2f_bench.runs.systems import build
from sf2f_bench.testing import check_model, models
from sf2f_bench.testing.anchors import AnchorTrial
from sf2f_bench.training import Machine
from sf2f_bench.types import Anchor, TrainedAnchor

SMALL = ModelSettings(image_size=64, budget="smoke", width=0.0625)


class Looker(nn.Module):
    """A tiny stand-in for the network of the training loss."""

    def features(self, images: Tensor) -> list[Tensor]:
        small = F.avg_pool2d(images, images.shape[-1] // 2).flatten(1)
        return [*(F.avg_pool2d(images, n) for n in (4, 8, 16)), small - 0.4]


def rows(count: int, size: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)), dim=1)


# ---------------------------------------------------------------- speech2face


def test_the_decoders_losses_are_those_of_a_plain_computation():
    drawn, real = torch.rand(2, 3, 3, 64, 64)
    network = Looker()
    wanted = speech2face.face_embeddings(network, real)
    weights = {"pixel": 100.0, "embedding": 7.0}
    terms = speech2face.decoder_losses(drawn, real, wanted, network, weights)
    found = network.features(drawn)[-1].numpy()
    cosines = [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(found, wanted.numpy(), strict=True)
    ]
    assert terms["pixel"].item() == pytest.approx(100 * np.abs(drawn.numpy() - real.numpy()).mean(), rel=1e-5)
    assert terms["embedding"].item() == pytest.approx(7 * np.mean(1 - np.array(cosines)), rel=1e-4)


def test_the_voice_networks_losses_are_those_of_a_plain_computation():
    decoder = speech2face.FaceDecoder(12, 0.0625)
    heard, wanted, templates = rows(4, 12), rows(4, 12, 1), rows(6, 12, 2)
    recipe = {
        "weights": {"first_layer": 2.0, "embedding": 0.5, "distillation": 3.0},
        "cosine_scale": 8.0,
        "temperature": 2.0,
    }
    terms = {
        name: term.item()
        for name, term in speech2face.voice_losses(heard, wanted, templates, decoder, recipe).items()
    }
    h, w, t = (part.double().numpy() for part in (heard, wanted, templates))
    weight = decoder.first.weight.detach().double().numpy() * 12**0.5
    assert terms["first_layer"] == pytest.approx(2 * np.abs((h - w) @ weight.T).mean(), rel=1e-4)
    assert terms["embedding"] == pytest.approx(0.5 * ((h - w) ** 2).sum(axis=1).mean(), rel=1e-4)
    logits, known = 4 * h @ t.T, np.exp(4 * w @ t.T)
    known /= known.sum(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert terms["distillation"] == pytest.approx(-3 * (known * logs).sum(axis=1).mean(), rel=1e-4)


@pytest.mark.parametrize("frames", [32, 101, 125, 150])
def test_the_voice_network_takes_speech_of_any_length(frames):
    network = speech2face.VoiceNetwork(20, 0.0625, 40).eval()
    found = network(torch.randn(2, 40, frames))
    assert found.shape == (2, 20)
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1], rel=1e-5)


@pytest.mark.parametrize("size", [64, 128])
def test_the_decoder_draws_the_size_that_it_is_built_for(size):
    assert speech2face.FaceDecoder(20, 0.0625, size).eval()(rows(2, 20)).shape == (2, 3, size, size)


def test_the_decoder_says_which_sizes_it_has():
    with pytest.raises(BenchError, match="64 or 128 pixels, not 32"):
        speech2face.FaceDecoder(20, 0.0625, 32)


class Photos:
    """Three people with two, one and three photos."""

    identities, frontend = 3, SimpleNamespace(filters=40)

    def __init__(self) -> None:
        self.faces = torch.randint(
            256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
        )
        self.labels = torch.tensor([0, 0, 1, 2, 2, 2])

    def every_photo(self, size: int = 4):
        for start in range(0, 6, size):
            yield self.faces[start : start + size], self.labels[start : start + size]


def test_templates_are_the_means_of_every_photos_embedding():
    data, network = Photos(), Looker()
    found = speech2face.templates_of(data, network)
    seen = F.normalize(network.features(data.faces.float() / 255)[-1], dim=1)
    means = F.normalize(torch.stack([seen[:2].mean(0), seen[2:3].mean(0), seen[3:].mean(0)]), dim=1)
    assert torch.allclose(found, means, atol=1e-6)


# ---------------------------------------------------------------- the contrastive space


@given(st.integers(2, 6), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_contrastive_loss_is_that_of_a_plain_computation(count, seed):
    similarities = np.random.default_rng(seed).normal(size=(count, count))
    plain = 0.0
    for i in range(count):
        plain -= similarities[i, i] - np.log(np.exp(similarities[i]).sum())
        plain -= similarities[i, i] - np.log(np.exp(similarities[:, i]).sum())
    assert contrastive_loss(torch.tensor(similarities)).item() == pytest.approx(plain / (2 * count))


def test_prototypes_answer_with_the_mean_of_their_photos():
    torch.manual_seed(0)
    data, network = Photos(), Looker()
    joint = JointSpace(0.0625, 40).eval()
    decoder = speech2face.FaceDecoder(12, 0.0625).eval()
    made = Prototypes(joint, decoder, count=3, people=3, near=2)
    fit_prototypes(made, data, SimpleNamespace(seed=5, perceptual=network, name="test"))
    assert made.members.sum(0).tolist() == [2, 1, 3]  # every photo once
    placed = joint.face(data.faces.float() / 255).detach()
    nearest = torch.cdist(placed, made.centres).argmin(dim=1)  # k-means: a photo is in its nearest cluster
    voice = torch.randn(1, 4, 40, 125)
    heard = F.normalize(joint.voice(voice[0]).mean(0), dim=0)
    order = (F.normalize(made.centres, dim=1) @ heard).argsort(descending=True)[:2]
    chosen = torch.isin(nearest, order)
    seen = F.normalize(network.features(data.faces.float() / 255)[-1], dim=1)
    wanted = F.normalize(seen[chosen].sum(0), dim=0)
    assert torch.allclose(F.normalize(made(voice) @ made.sums, dim=1)[0], wanted, atol=1e-5)
    shares = made(voice) @ made.members
    assert shares[0].tolist() == [float((data.labels[chosen] == person).sum()) for person in range(3)]


def test_more_prototypes_than_photos_are_as_many_as_photos():
    made = Prototypes(JointSpace(0.0625, 40).eval(), speech2face.FaceDecoder(12, 0.0625), 50, 3, 2)
    fit_prototypes(made, Photos(), SimpleNamespace(seed=5, perceptual=Looker(), name="test"))
    assert made.members.sum() == 6
    assert (made.members.sum(1) > 0).sum() == 6
    chosen = made.nearest(rows(4, contrastive.JOINT))
    assert chosen.sum(1).tolist() == [2, 2, 2, 2]
    assert ((chosen @ made.members) > 0).any(1).all()
    assert (chosen @ made.members).sum(1).tolist() == [2, 2, 2, 2]  # never an empty one


# ---------------------------------------------------------------- the flow


def small_flow(size: int = 64, steps: int = 4, guidance: float = 1.5) -> Flow:
    torch.manual_seed(0)
    made = Flow(size, 5, 0.0625, steps, guidance).eval()
    for part in made.parameters():  # nothing begins at zero, so that nothing is hidden
        nn.init.normal_(part, std=0.1)
    return made


@pytest.mark.parametrize("size", [64, 128])
def test_folding_and_unfolding_undo_each_other(size):
    made, faces = small_flow(size), torch.rand(2, 3, size, size)
    made.mean.copy_(torch.rand(3, size, size))
    made.deviation.fill_(0.3)
    assert made.folded(faces).shape == (2, 3 * (size // 16) ** 2, 16, 16)
    assert torch.allclose(made.unfolded(made.folded(faces)), faces, atol=1e-6)


def test_the_flows_loss_is_that_of_a_plain_computation():
    made = small_flow()
    noise, target = torch.randn(2, 3, 48, 16, 16)
    times, conditions, kept = torch.tensor([0.1, 0.5, 0.9]), torch.randn(3, 5), torch.tensor([1.0, 0.0, 1.0])
    told = {"times": times, "conditions": conditions, "kept": kept}
    found = flow_matching_loss(made, noise, target, told).item()
    errors = []
    for i in range(3):
        point = (1 - times[i]) * noise[i] + times[i] * target[i]
        asked = made.picture(point[None], times[i : i + 1], conditions[i : i + 1], kept[i : i + 1])[0]
        asked = (asked - point) / (1 - times[i])
        errors.append((asked - (target[i] - noise[i])).square().mean().item())
    assert found == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_dropped_condition_is_not_seen():
    made, x, times = small_flow(), torch.randn(2, 48, 16, 16), torch.tensor([0.3, 0.6])
    one, other = torch.randn(2, 2, 5)
    dropped, kept = torch.zeros(2), torch.ones(2)
    assert torch.equal(made.picture(x, times, one, dropped), made.picture(x, times, other, dropped))
    assert not torch.allclose(made.picture(x, times, one, kept), made.picture(x, times, other, kept))


class Straight(nn.Module):
    """The network of a flow that ends in one picture, whatever the condition, but 1 further with one."""

    def __init__(self, end: Tensor) -> None:
        super().__init__()
        self.end = end

    def forward(self, x: Tensor, times: Tensor, conditions: Tensor, kept: Tensor) -> Tensor:
        return self.end + kept[:, None, None, None]


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_euler_steps_end_where_the_guided_velocity_points(guidance):
    made, end = small_flow(steps=7, guidance=guidance), torch.randn(48, 16, 16)
    made.picture = Straight(end)
    found = made(torch.randn(2, 3 * 64 * 64), torch.randn(2, 5))
    # The last step, of length 1 / 7 from time 6 / 7, arrives whatever came before.
    wanted = made.unfolded((end + guidance).expand(2, -1, -1, -1))
    assert torch.allclose(found, wanted, atol=1e-4)


def test_a_noisy_face_is_seen_as_the_network_says():
    made, end = small_flow(), torch.randn(48, 16, 16)
    made.picture = Straight(end)
    faces, noise, times = torch.rand(2, 3, 64, 64), torch.randn(2, 3 * 64 * 64), torch.tensor([0.2, 0.7])
    found = made.seen_through(noise, times, faces, torch.randn(2, 5))
    assert torch.allclose(found, made.unfolded((end + 1).expand(2, -1, -1, -1)), atol=1e-5)


def test_the_path_begins_in_noise_and_ends_in_the_target():
    noise, target = torch.randn(2, 2, 3, 4, 4)
    assert torch.equal(mixed(noise, target, torch.zeros(2)), noise)
    assert torch.equal(mixed(noise, target, torch.ones(2)), target)


def test_mean_face_and_deviation_are_those_of_all_photos():
    made, data = small_flow(), Photos()
    measure_faces(made, data)
    faces = data.faces.double() / 255
    assert torch.allclose(made.mean.double(), faces.mean(0), atol=1e-6)
    deviation = (faces - faces.mean(0)).square().mean().sqrt().item()
    assert made.deviation.item() == pytest.approx(deviation, rel=1e-5)


def test_the_average_follows_the_weights():
    now, kept = small_flow(), small_flow()
    with torch.no_grad():
        for part in now.parameters():
            part.add_(1)
    before = [part.clone() for part in kept.parameters()]
    flow._follow(kept, now, 0.75)
    for old, new in zip(before, kept.parameters(), strict=True):
        assert torch.allclose(new, old + 0.25, atol=1e-6)


def test_relations_are_compared_as_cosines():
    heard, wanted = rows(4, 6), rows(4, 6, 1)
    plain = np.mean(
        [((heard[i] @ heard[j]) - (wanted[i] @ wanted[j])).item() ** 2 for i in range(4) for j in range(4)]
    )
    assert identity_flow.relation_loss(heard, wanted).item() == pytest.approx(plain, rel=1e-4)
    assert identity_flow.relation_loss(wanted, wanted).item() == 0


def test_the_consistency_loss_trains_what_was_heard_and_not_the_flow():
    made = small_flow().requires_grad_(False)
    heard = rows(2, 5).requires_grad_()
    faces, noise, times = torch.rand(2, 3, 64, 64), torch.randn(2, 3 * 64 * 64), torch.tensor([0.4, 0.8])

    class Five(Looker):
        def features(self, images: Tensor) -> list[Tensor]:
            return [images.mean(dim=(1, 2))[:, :5] - 0.4]

    loss = identity_flow.consistency_loss(made, Five(), heard, rows(2, 5, 1), faces, noise, times)
    loss.backward()
    assert 0 <= loss.item() <= 2
    assert heard.grad is not None
    assert heard.grad.abs().sum() > 0


# ---------------------------------------------------------------- the rows


def test_a_mean_over_segments_is_that_of_each_alone():
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    segments = torch.randn(2, 4, 2, 3)
    plain = torch.stack([torch.stack([network(one[None])[0] for one in voice]).mean(0) for voice in segments])
    assert torch.allclose(by_segment(network, segments), plain, atol=1e-6)


def test_pictures_outside_of_0_to_1_are_clipped():
    assert to_bytes(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("name", OTHERS[64])
def test_every_row_of_all_can_be_built_and_says_what_it_is(name):
    row = build(name, SMALL)
    assert row.card.name == name
    assert is_trained(row) == (name != "shared-factor-oracle-draws")
    assert isinstance(row, Anchor) == (row.card.kind == "anchor")
    assert (row.card.place == "ceiling") == (row.card.kind == "anchor")
    assert "dentifying people" in row.card.limits or row.card.kind == "anchor"


@pytest.mark.parametrize("module", [speech2face, contrastive, residual_flow, identity_flow])
def test_every_budget_has_a_schedule(module):
    assert list(module.SCHEDULES) == ["smoke", "default/cpu", "default/cuda", "long", "paper"]
    assert len({frozenset(schedule) for schedule in module.SCHEDULES.values()}) == 1


@pytest.mark.parametrize("name", [name for name in OTHERS[64] if is_trained(build(name, SMALL))])
def test_a_row_refuses_another_size(name):
    with pytest.raises(BenchError, match="64"):
        build(name, ModelSettings(image_size=128, budget="smoke", width=0.0625))


def test_what_needs_a_first_stage_says_so_where_there_is_none():
    for name in ("speech2face-64", "contrastive-prototypes", "contrastive-space", "identity-flow-64"):
        context = SimpleNamespace(start=None, perceptual=Looker(), name=name)
        with pytest.raises(BenchError, match=r"starts from .* which was not given"):
            build(name, SMALL).fit(None, context)


def test_what_is_not_drawn_needs_weights_first(tmp_path):
    trial = AnchorTrial(build("contrastive-space", SMALL), tmp_path)
    with pytest.raises(BenchError, match="has no weights yet"):
        trial.anchor.answer(trial.evaluation)


def test_trained_anchors_are_told_from_plain_ones():
    assert not isinstance(build("chance", SMALL), TrainedAnchor)
    assert not isinstance(build("sf2f-64", SMALL), Anchor)
    assert {name for name in MODELS if isinstance(build_of(name), TrainedAnchor)} == {
        "speech2face-64-true-embedding",
        "contrastive-prototypes-query",
        "contrastive-space",
        "identity-flow-64-true-embedding",
    }


def build_of(name: str):
    return build(name, ModelSettings(128 if "128" in name else 64, "smoke"))


@pytest.mark.parametrize(
    "name", ["speech2face-64", "contrastive-prototypes", "residual-flow-64", "identity-flow-64"]
)
def test_training_in_bf16_stays_finite_and_differs(name, tmp_path, monkeypatch):
    states = {}
    machines = {precision: Machine.start("cpu", precision=precision) for precision in ("fp32", "bf16")}
    for precision, machine in machines.items():
        monkeypatch.setattr(models.Machine, "start", lambda *_, machine=machine: machine)
        trial = models.ModelTrial(MODELS.get(name), replace(SMALL, steps=2), tmp_path / precision)
        states[precision] = trial.state
        assert trial.generate(trial.voices[:2]).dtype == torch.uint8
    assert all(tensor.isfinite().all() for tensor in states["bf16"].values())
    assert any(not torch.equal(states["bf16"][key], tensor) for key, tensor in states["fp32"].items())


STRANGER = '''
import numpy as np
import torch
from sf2f_bench import Answer, LogFilterbank, ModelCard

class MeanPhoto:
    """Shows the mean of the training photos, which it learns in one step."""

    card = ModelCard("mean-photo", "1", "anchor", "the mean training photo", place="floor", fitted_to="nothing")

    def __init__(self, settings):
        self.frontend, self.recipe, self.mean = LogFilterbank(), {"steps": 1, "size": settings.image_size}, None

    def fit(self, data, context):
        mean = torch.nn.Module()
        mean.register_buffer("face", torch.zeros(3, data.image_size, data.image_size))
        for _ in context.loop("mean", 1, {"mean": mean}):
            faces = torch.cat([faces for faces, _ in data.every_photo()])
            mean.face.copy_(faces.float().mean(0))
        self.mean = mean.face

    def state_dict(self):
        return {"face": self.mean}

    def load_state_dict(self, state):
        self.mean = state["face"]

    def applies(self, evaluation):
        return None

    def answer(self, evaluation):
        face = self.mean.round().to(torch.uint8).numpy()
        return Answer(faces=np.repeat(face[None], len(evaluation.identities), axis=0))
'''


def test_a_strangers_trained_anchor_is_made_checked_and_held_to_its_contract(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(STRANGER)
    row = build(f"{file}:MeanPhoto", SMALL)
    assert isinstance(row, TrainedAnchor)
    assert is_trained(row)
    check_model(MODELS.get(f"{file}:MeanPhoto"))
    other = tmp_path / "other.py"
    other.write_text(STRANGER.replace("self.mean.round()", "(255 * torch.rand_like(self.mean))"))
    with pytest.raises(BenchError, match="the same answer when asked again"):
        check_model(MODELS.get(f"{other}:MeanPhoto"))
