"""Attention between the nodes of a graph, of one kind or of two, and the pool that keeps the best nodes.

Every two nodes are multiplied element by element, and a layer, a tanh and a weight vector make a number of each
product. A softmax over the second node of the numbers, divided by a temperature, weighs the nodes that a node takes up.
Between two kinds of nodes there are three weight vectors: within the first kind, within the second, and between them.
A master node takes up all others and none of them takes it up.

Reference: J. Jung et al., "AASIST", arXiv:2110.01200, 2022, and its official code, whose names the tensors bear; none
of the parts deviates.

Shape letters: B batch, N nodes, D features of a node, E features after the layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _weights(features: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(features, 1)))


def _products(nodes_BND: Tensor) -> Tensor:
    return nodes_BND[:, :, None] * nodes_BND[:, None]


def _normalised(nodes_BNE: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    flat: Tensor = norm(nodes_BNE.flatten(0, 1))
    return functional.selu(flat).view_as(nodes_BNE)


class GraphAttention(nn.Module):
    """Let the nodes of one kind take each other up, `(B, N, D)` to `(B, N, E)`."""

    def __init__(self, inputs: int, outputs: int, temperature: float, dropout: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.att_weight = _weights(outputs)
        self.att_proj = nn.Linear(inputs, outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.input_drop = nn.Dropout(dropout)

    def own_multiply_adds(self, nodes_BND: Tensor) -> int:
        """Return those of the weight vector and of what is taken up."""
        return nodes_BND.shape[:2].numel() * nodes_BND.shape[1] * (nodes_BND.shape[2] + len(self.att_weight))

    def forward(self, nodes_BND: Tensor) -> Tensor:
        """Return the nodes after the layer."""
        nodes_BND = self.input_drop(nodes_BND)
        logits_BNN = (self.att_proj(_products(nodes_BND)).tanh() @ self.att_weight).squeeze(-1)
        taken_BND = (logits_BNN / self.temperature).softmax(dim=-1) @ nodes_BND
        return _normalised(self.proj_with_att(taken_BND) + self.proj_without_att(nodes_BND), self.bn)


class PairedAttention(nn.Module):
    """Let nodes of two kinds take each other up, and a master all of them.

    `(B, N1, D)`, `(B, N2, D)` and the master `(B, 1, D)` to the same with E features.
    """

    def __init__(self, inputs: int, outputs: int, temperature: float, dropout: float) -> None:
        super().__init__()
        self.temperature, self.shape = temperature, (inputs, outputs)
        self.att_weight11, self.att_weight22 = _weights(outputs), _weights(outputs)
        self.att_weight12, self.att_weightM = _weights(outputs), _weights(outputs)
        self.proj_type1 = nn.Linear(inputs, inputs)
        self.proj_type2 = nn.Linear(inputs, inputs)
        self.att_proj = nn.Linear(inputs, outputs)
        self.att_projM = nn.Linear(inputs, outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.proj_with_attM = nn.Linear(inputs, outputs)
        self.proj_without_attM = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.input_drop = nn.Dropout(dropout)

    def own_multiply_adds(self, first_BND: Tensor, second_BND: Tensor, master_B1D: Tensor) -> int:
        """Return those of the weight vectors and of what is taken up, by the master, too."""
        rows, nodes, (inputs, outputs) = len(first_BND), first_BND.shape[1] + second_BND.shape[1], self.shape
        return rows * nodes * (nodes * (3 * outputs + inputs) + outputs + inputs)

    def forward(self, first_BND: Tensor, second_BND: Tensor, master_B1D: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return both kinds of nodes and the master after the layer."""
        count = first_BND.shape[1]
        nodes_BND = torch.cat([self.proj_type1(first_BND), self.proj_type2(second_BND)], dim=1)
        nodes_BND = self.input_drop(nodes_BND)
        taken_BND = self._logits(nodes_BND, count).div(self.temperature).softmax(dim=-1) @ nodes_BND
        outputs_BNE = _normalised(self.proj_with_att(taken_BND) + self.proj_without_att(nodes_BND), self.bn)
        return outputs_BNE[:, :count], outputs_BNE[:, count:], self._master(nodes_BND, master_B1D)

    def _logits(self, nodes_BND: Tensor, count: int) -> Tensor:
        """Return a number for every two nodes, `(B, N, N)`; the first `count` nodes are of the first kind."""
        vectors = torch.cat([self.att_weight11, self.att_weight22, self.att_weight12], dim=1)
        within_first, within_second, between = (self.att_proj(_products(nodes_BND)).tanh() @ vectors).unbind(-1)
        is_first = torch.arange(nodes_BND.shape[1], device=nodes_BND.device) < count
        within = torch.where(is_first[:, None], within_first, within_second)
        return torch.where(is_first[:, None] == is_first, within, between)

    def _master(self, nodes_BND: Tensor, master_B1D: Tensor) -> Tensor:
        logits_BN1 = self.att_projM(nodes_BND * master_B1D).tanh() @ self.att_weightM
        taken_B1D = (logits_BN1 / self.temperature).softmax(dim=1).transpose(1, 2) @ nodes_BND
        master_B1E: Tensor = self.proj_with_attM(taken_B1D) + self.proj_without_attM(master_B1D)
        return master_B1E


class GraphPool(nn.Module):
    """Keep the share `ratio` of the nodes with the highest scores, one at least, each times its score in (0, 1)."""

    def __init__(self, ratio: float, features: int, dropout: float) -> None:
        super().__init__()
        self.ratio = ratio
        self.proj = nn.Linear(features, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, nodes_BND: Tensor) -> Tensor:
        """Return the nodes that are kept, the highest score first."""
        scores_BN1 = self.proj(self.drop(nodes_BND)).sigmoid()
        # The product in float decides, as in the official code: 0.7 of 90 nodes are 62. While a network is traced
        # the number of nodes is a symbol, which `int` would make a constant.
        kept = torch.sym_max(torch.sym_int(nodes_BND.shape[1] * self.ratio), 1)
        places_BN1 = scores_BN1.topk(kept, dim=1).indices
        return (nodes_BND * scores_BN1).gather(1, places_BN1.expand(-1, -1, nodes_BND.shape[2]))
